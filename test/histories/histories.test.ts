import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fold, type History, readHistory } from './history.ts';
import { STORIES } from './stories.ts';

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.golden.json'));
const read = (file: string): History => readHistory(readFileSync(join(import.meta.dirname, file), 'utf8'));

describe('recorded histories fold to what they always folded to', () => {
  test.each(files)('%s', (file) => {
    const { events, ...recorded } = read(file);
    expect(fold(events)).toEqual(recorded);
  });
});

test('each story has its file, and brokers of today still tell it so', () => {
  expect(files.map((file) => file.replace('.golden.json', '')).sort()).toEqual(Object.keys(STORIES).sort());
  for (const [name, tell] of Object.entries(STORIES)) expect(tell(), name).toEqual(read(`${name}.golden.json`).events);
});
