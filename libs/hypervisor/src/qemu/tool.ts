import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { failed, HostError } from '../codes.ts';
import { TOOL_OUTPUT_BYTES_MAX } from '../limits.ts';

/** A secret on its way into a tool. */
export type ToolSecret = { readonly id: string; readonly value: Uint8Array };

export type ToolRun = {
  readonly file: string;
  readonly args: readonly string[];
  readonly secrets: readonly ToolSecret[];
  /** Files that were opened and judged by us; the tool reads each as `inheritedFile`. */
  readonly files?: readonly FileHandle[];
  /** What the tool prints, as it comes; without it, nobody listens. */
  readonly onOutput?: (text: string) => void;
  /** A tmpfs: nothing of a secret reaches a disk. */
  readonly tmpfsDir: string;
  readonly signal: AbortSignal;
};

export type ToolEnd = { readonly exitCode: number | null; readonly errors: string };

/** File descriptor of the first secret: after stdin, stdout and stderr. */
const FIRST_SECRET_FD = 3;
/** open(2): a file without a name, gone with its last descriptor. Node has no constant for the flag's own bit. */
const O_TMPFILE = constants.O_DIRECTORY | 0o20_000_000;

/** `--object` arguments that name the descriptors. No value ever stands in an argument. */
export const secretObjects = (secrets: readonly ToolSecret[]): readonly string[] =>
  secrets.flatMap(({ id }, i) => ['--object', `secret,id=${id},file=/dev/fd/${FIRST_SECRET_FD + i}`]);

/** The name under which a tool with so many secrets opens the n-th inherited file: that very file, whatever its path means now. */
export const inheritedFile = (secrets: readonly ToolSecret[], n: number): string =>
  `/dev/fd/${FIRST_SECRET_FD + secrets.length + n}`;

/** QEMU's option lists split at commas; a comma in a value is doubled. */
export const optionValue = (value: string): string => value.replaceAll(',', ',,');

/**
 * Runs a qemu tool with an empty environment. Each secret is an unnamed file in tmpfs, inherited as a descriptor and blanked
 * afterwards. (Node's stdio pipes are sockets, which a program cannot open again by `/dev/fd`.)
 * @throws HostError TOOL_FAILED when it cannot be run, STEP_ABORTED when the signal ended it
 */
export async function runTool(run: ToolRun): Promise<ToolEnd> {
  const handles: FileHandle[] = [];
  try {
    for (const { value } of run.secrets) {
      const handle = await open(run.tmpfsDir, O_TMPFILE | constants.O_RDWR, 0o600);
      handles.push(handle);
      await handle.write(value, 0, value.length, 0);
    }
    return await runWith(run, handles);
  } finally {
    for (const [i, handle] of handles.entries()) {
      await handle.write(new Uint8Array(run.secrets[i]?.value.length ?? 0), 0, null, 0).catch(() => undefined);
      await handle.close();
    }
  }
}

async function runWith({ file, args, files = [], onOutput, signal }: ToolRun, handles: readonly FileHandle[]): Promise<ToolEnd> {
  const child = spawn(file, args, {
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    cwd: '/',
    stdio: ['ignore', onOutput === undefined ? 'ignore' : 'pipe', 'pipe', ...[...handles, ...files].map(({ fd }) => fd)],
    signal,
    killSignal: 'SIGKILL',
  });
  const errors = collect(child.stderr);
  if (onOutput !== undefined) child.stdout?.on('data', (part: Buffer) => onOutput(part.toString('latin1')));
  const { promise, resolve, reject } = Promise.withResolvers<ToolEnd>();
  child.once('error', (cause) => reject(new HostError(failed(signal.aborted ? 'STEP_ABORTED' : 'TOOL_FAILED'), { cause })));
  child.once('close', (exitCode) => resolve({ exitCode, errors: errors() }));
  return promise;
}

function collect(stream: Readable | null): () => string {
  const parts: Buffer[] = [];
  let bytes = 0;
  stream?.on('data', (part: Buffer) => {
    if (bytes < TOOL_OUTPUT_BYTES_MAX) parts.push(part);
    bytes += part.length;
  });
  return () => Buffer.concat(parts).toString('utf8').slice(0, TOOL_OUTPUT_BYTES_MAX);
}
