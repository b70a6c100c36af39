import { type Connection, type Domain, isRemoteError } from '@carnet/libvirt';
import { z } from 'zod';
import { diskXml } from '../domain-xml.ts';
import type { Hypervisor } from '../ports/hypervisor.ts';

type Work<T> = (connection: Connection, domain: Domain) => Promise<T>;

/** How to reach a domain: `on` does nothing without one, `must` needs one, `find` says so. */
type Reach = {
  on(uuid: string, work: Work<unknown>): Promise<void>;
  must(uuid: string, work: Work<unknown>): Promise<void>;
  find<T>(uuid: string, work: Work<T>): Promise<T | undefined>;
};

type DiskCopies = Pick<Hypervisor, 'beginCopy' | 'copyState' | 'endCopy' | 'diskFiles'>;

/** libvirt's block copy (virDomainBlockCopy) of one disk to a volume that we have made. */
export const diskCopies = ({ on, must, find }: Reach): DiskCopies => ({
  beginCopy: (uuid, { bytesPerSecond, ...disk }) =>
    must(uuid, ({ blockJobs }, domain) =>
      blockJobs.copy(domain, disk.target, diskXml(disk), {
        // synchronous-writes: once ready, it stays so however fast the guest writes.
        flags: ['reuse-external', 'transient-job', 'synchronous-writes'],
        ...(bytesPerSecond === undefined ? {} : { bandwidthBytesPerSecond: BigInt(bytesPerSecond) }),
      }),
    ),
  copyState: (uuid, target) =>
    find(uuid, async ({ blockJobs, domains }, domain) => {
      try {
        const job = await blockJobs.info(domain, target);
        if (job?.type !== 'copy') return undefined;
        const ready = isMirrorReady(await domains.xml(domain), target);
        return { doneBytes: Number(job.done), totalBytes: Number(job.total), ready };
      } catch (cause) {
        if (isRemoteError(cause, 'OPERATION_INVALID')) return undefined;
        throw cause;
      }
    }),
  endCopy: (uuid, target, how) =>
    how === 'pivot'
      ? must(uuid, ({ blockJobs }, domain) => blockJobs.abort(domain, target, { flags: ['pivot'] }))
      : on(uuid, async ({ blockJobs, domains }, domain) => {
          if ((await domains.state(domain)).state === 'shutoff') return;
          if ((await blockJobs.info(domain, target)) !== undefined) await blockJobs.abort(domain, target);
        }),
  diskFiles: async (uuid) =>
    (await find(uuid, async ({ domains, monitor }, domain) => {
      const { state } = await domains.state(domain);
      // QEMU itself: after a crash in the midst of a pivot libvirt may not have heard of it yet.
      return state === 'shutoff' || state === 'crashed'
        ? sourcesIn(await domains.xml(domain, { flags: ['inactive'] }))
        : openFiles(await monitor.command(domain, '{"execute":"query-block"}'));
    })) ?? [],
});

/** libvirt writes its XML with apostrophes and one attribute order; our own paths and targets hold no quotes. */
function isMirrorReady(xml: string, target: string): boolean {
  const disk = xml.split('<disk ').find((one) => one.includes(`<target dev='${target}'`)) ?? '';
  return /<mirror [^>]*ready='yes'/.test(disk);
}

const sourcesIn = (xml: string): readonly string[] =>
  [...xml.matchAll(/<source file='([^']+)'/g)].flatMap(([, file]) => file ?? []);

/** QMP query-block, as far as it is read. `file`: a file's name, or `json:` and the options by which QEMU opened it. */
const queryBlock = z.object({ return: z.array(z.object({ inserted: z.object({ file: z.string() }).optional() })) });
type Opened = { readonly filename?: string | undefined; readonly file?: Opened | undefined };
const opened: z.ZodType<Opened> = z.object({ filename: z.string().optional(), file: z.lazy(() => opened).optional() });

/** By the names under which QEMU opened them: a file that was renamed since keeps its old one here. */
function openFiles(answer: string): readonly string[] {
  return queryBlock.parse(JSON.parse(answer)).return.flatMap(({ inserted }) => {
    if (inserted === undefined || !inserted.file.startsWith('json:')) return inserted?.file ?? [];
    let at: Opened | undefined = opened.parse(JSON.parse(inserted.file.slice('json:'.length)));
    while (at !== undefined && at.filename === undefined) at = at.file;
    return at?.filename ?? [];
  });
}
