import { connect, isRemoteError } from '@carnet/libvirt';

/** Starts a guest whose disk opens with `key`; undefined when the key does not open it. */
export async function startLocked(socket: string, secretXml: string, domainXml: string, key: Uint8Array) {
  await using conn = await connect({ transport: { kind: 'unix', path: socket }, uri: 'qemu:///session' });

  const secret = await conn.secrets.define(secretXml);
  await conn.secrets.setValue(secret, key);
  const domain = await conn.domains.define(domainXml);

  const seen: string[] = [];
  await conn.events.subscribe('lifecycle', ({ event, detail }) => seen.push(`${event} ${detail}`), { domain });
  try {
    await conn.domains.create(domain, { timeoutMs: 60_000 });
    return seen;
  } catch (error) {
    if (!isRemoteError(error, 'INTERNAL_ERROR')) throw error;
    await conn.domains.undefine(domain, { flags: ['nvram'] });
    return undefined;
  } finally {
    await conn.secrets.undefine(secret);
  }
}
