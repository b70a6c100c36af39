import type { Connection, Domain } from '@carnet/libvirt';
import { diskXml } from '../domain-xml.ts';
import type { DiskFacts, Hypervisor } from '../ports/hypervisor.ts';

const ENTITIES: Readonly<Record<string, string>> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&apos;': "'" };
const unescapeXml = (text: string): string => text.replaceAll(/&(?:amp|lt|gt|quot|apos);/g, (entity) => ENTITIES[entity] ?? '');

/** Of one disk in what our own libvirtd says of a domain that we defined: its own source comes first, its mirror's after that. */
function diskIn(xml: string, target: string): { readonly path: string; readonly mirror: string | undefined } | undefined {
  const [, ...disks] = xml.split(/<disk[\s>]/);
  const disk = disks.map((text) => text.split('</disk>')[0] ?? '').find((text) => text.includes(`<target dev='${target}'`));
  const path = /<source file='([^']*)'/.exec(disk ?? '')?.[1];
  return path === undefined ? undefined : { path: unescapeXml(path), mirror: /<mirror [^>]*>/.exec(disk ?? '')?.[0] };
}

export async function diskFacts(
  { domains, blockJobs }: Connection,
  domain: Domain,
  target: string,
): Promise<DiskFacts | undefined> {
  const { state } = await domains.state(domain);
  if (state === 'shutoff' || state === 'crashed') return undefined;
  const job = await blockJobs.info(domain, target);
  const found = diskIn(await domains.xml(domain), target);
  if (found === undefined) return undefined;
  const { path, mirror } = found;
  if (mirror === undefined) return { path };
  const isReady = mirror.includes("ready='yes'");
  const copy = { doneBytes: Number(job?.done ?? 0n), totalBytes: Number(job?.total ?? 0n) };
  return { path, copy: { state: isReady ? 'ready' : 'copying', ...copy } };
}

/**
 * transient-job: QEMU could not go on with it after a restart of the guest, and libvirt wants to hear that we know. synchronous-writes:
 * once alike, both stay alike however much the guest writes.
 */
export const copyDisk = (
  { blockJobs }: Connection,
  domain: Domain,
  target: string,
  { path, key }: Parameters<Hypervisor['copyDisk']>[2],
): Promise<void> =>
  blockJobs.copy(domain, target, diskXml({ target, path, key }), {
    flags: ['reuse-external', 'transient-job', 'synchronous-writes'],
  });
