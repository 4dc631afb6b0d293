import { documentFault } from './usage-record.ts';

/** The fields of a record that an event's data holds; the rest is said by the event. */
const dataFields = ['usage_type', 'used', 'price'] as const;

/**
 * A CloudEvent 1.0 as the document of a record: `subject` is the subscription, `time` is used_at, `data` holds usage_type, used
 * and price, and the record is known by source and id as CloudEvents are, with a space between: no source has one. Attributes that
 * say nothing of usage (type, dataschema, extensions) are left alone.
 * @returns the document, or one that says in `documentFault` why the event is none
 */
export function documentOfEvent(event: unknown): unknown {
  const fault = faultOf(event);
  if (fault !== null) return { event, [documentFault]: fault };
  const { source, id, subject, time, data } = event as Record<string, unknown>;
  return { ...(data as object), record_id: `${String(source)} ${String(id)}`, subscription_id: subject, used_at: time };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function faultOf(event: unknown): string | null {
  if (!isObject(event)) return '(event): must be a CloudEvent, an object';
  const { specversion, source, datacontenttype, data } = event;
  if (specversion !== '1.0') return '/specversion: must be "1.0"';
  for (const name of ['id', 'source', 'type', 'subject', 'time'])
    if (typeof event[name] !== 'string' || event[name] === '') return `/${name}: is required, as text`;
  if (/\s/.test(String(source))) return '/source: must be a URI reference, without spaces';
  if ('data_base64' in event || !isJsonType(datacontenttype))
    return '/data: must be JSON: datacontenttype application/json';
  if (!isObject(data)) return '/data: must be an object with usage_type, used and price';
  const unknown = Object.keys(data).find((name) => !(dataFields as readonly string[]).includes(name));
  if (unknown !== undefined) return `/data: knows usage_type, used and price; not "${unknown.slice(0, 50)}"`;
  return null;
}

const isJsonType = (type: unknown): boolean =>
  type === undefined || (typeof type === 'string' && /^[^/;]+\/(?:[^;]+\+)?json\s*(?:;|$)/i.test(type));
