import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { QEMU_TIMING_TRIES_MAX } from '../limits.ts';
import { qemuVolumes } from './volumes.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'carnet-timing-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A qemu-img that says what QEMU says, so many times, and then works. It counts its runs. */
function toolThatFails(times: number, words: string) {
  const file = join(dir, 'qemu-img');
  const runs = join(dir, 'runs');
  writeFileSync(runs, '');
  const lines = ['#!/bin/sh', `printf x >> ${runs}`, `[ $(wc -c < ${runs}) -gt ${times} ] || { echo "${words}" >&2; exit 1; }`];
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o700 });
  return { file, runs: () => readFileSync(runs, 'utf8').length };
}
const create = (qemuImg: string) => {
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  return qemuVolumes({ qemuImg, qemuIo: qemuImg, tmpfsDir: '/dev/shm' }, log).createBlank('v', 1, Buffer.from('key'));
};
const TIMING = 'qemu-img: v: Unable to get accurate CPU usage';

it('a key derivation that qemu could not time is tried again', async () => {
  const tool = toolThatFails(2, TIMING);
  await create(tool.file);
  expect(tool.runs()).toBe(3);
});

it('but not for ever', async () => {
  const tool = toolThatFails(100, TIMING);
  await expect(create(tool.file)).rejects.toMatchObject({ setback: { code: 'TOOL_FAILED' } });
  expect(tool.runs()).toBe(QEMU_TIMING_TRIES_MAX);
});

it('and nothing else is', async () => {
  const tool = toolThatFails(1, 'qemu-img: v: Could not create file');
  await expect(create(tool.file)).rejects.toMatchObject({ setback: { code: 'TOOL_FAILED' } });
  expect(tool.runs()).toBe(1);
});
