import { expect, it } from 'vitest';
import { freePort } from './ports.ts';

it('a port is given once, though nobody has bound it yet: two clouds that ask one after the other get different ones', async () => {
  const ports: number[] = [];
  while (ports.length < 600) ports.push(await freePort());
  expect(new Set(ports).size).toBe(ports.length);
});
