import { expect, test } from 'vitest';
import { defaultSettings, settingsArgs, settingsFile } from './server-settings.ts';

const GB = 1024 ** 3;

test('memory follows the machine within bounds, and data are safe', () => {
  const small = defaultSettings({ memoryBytes: GB / 2, sharedMemoryBytes: null });
  const large = defaultSettings({ memoryBytes: 64 * GB, sharedMemoryBytes: 32 * GB });
  expect(small['shared_buffers']).toBe('128MB');
  expect(large['shared_buffers']).toBe('1024MB');
  expect(large).toMatchObject({ fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' });
  expect(large).not.toHaveProperty('dynamic_shared_memory_type');
});

test('a small /dev/shm is not used for parallel queries', () => {
  const settings = defaultSettings({ memoryBytes: 8 * GB, sharedMemoryBytes: 64 * 1024 ** 2 });
  expect(settings['dynamic_shared_memory_type']).toBe('mmap');
});

test('quotes in a value are doubled in the file and left alone in arguments', () => {
  expect(settingsFile({ a: "it's" })).toContain("a = 'it''s'\n");
  expect(settingsArgs({ a: "it's", b: '1' })).toEqual(['-c', "a=it's", '-c', 'b=1']);
});
