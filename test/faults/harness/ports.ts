import { freePort } from '@carnet/dev';

/** Different free ports: one call at a time could be given the same one twice. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
