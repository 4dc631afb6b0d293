import { z } from 'zod';
import { negotiate } from '../accept.ts';
import { httpError } from '../failure.ts';
import type { Routes } from '../http-types.ts';
import { isProblemCode, type ProblemCode, problemTypeOf, problemTypes, statusName } from '../problems.ts';

const params = z.strictObject({ code: z.string() });

/** The pages to which the `type` of every problem leads. */
export function addProblemRoutes(routes: Routes): void {
  routes.get(
    '/problems',
    { schema: { summary: 'List the types of problems', tags: ['problems'] } },
    async (request, reply) => {
      const codes = Object.keys(problemTypes).filter(isProblemCode);
      if (wantsPage(request.headers.accept))
        return reply.type('text/html; charset=utf-8').send(page('Problems', codes.map(section).join('')));
      return { items: codes.map(describe) };
    },
  );
  routes.get(
    '/problems/:code',
    { schema: { summary: 'What a problem means', tags: ['problems'], params } },
    async (request, reply) => {
      const { code } = request.params;
      if (!isProblemCode(code)) throw httpError('not_found', 'There is no problem of this type. /problems lists all.');
      if (wantsPage(request.headers.accept))
        return reply.type('text/html; charset=utf-8').send(page(problemTypeOf(code).title, section(code)));
      return describe(code);
    },
  );
}

const wantsPage = (accept: string | undefined): boolean =>
  accept?.includes('html') === true && negotiate(accept, ['application/json', 'text/html']) === 'text/html';

function describe(code: ProblemCode) {
  const { status, title, help, retryAfterSeconds } = problemTypeOf(code);
  return { type: `/problems/${code}`, code, status, title, help, may_be_retried: retryAfterSeconds !== undefined };
}

// Titles and helps are our own constants; only their angle brackets need care.
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

function section(code: ProblemCode): string {
  const { title, help, status } = problemTypeOf(code);
  return `<h2>${escaped(title)}</h2><p><code>${code}</code>, ${statusName(status)}</p><p>${escaped(help)}</p>`;
}

const page = (title: string, body: string): string =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escaped(title)} · Milliard</title><body>${body}<p><a href="/problems">All problems</a> · <a href="/docs">The API</a></p></body></html>`;
