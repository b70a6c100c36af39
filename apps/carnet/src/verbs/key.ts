import { Command, Option } from 'commander';
import { EXIT, VerbError } from '../exit.ts';
import {
  allKeyColumns,
  type KeyDetail,
  type KeyUse,
  keyDetailColumns,
  type Rotation,
  rotationColumns,
  type UsesVerdict,
  useColumns,
  verdictColumns,
} from '../key-rows.ts';
import { OWN_CODES } from '../own-codes.ts';
import { type Key, keyColumns } from '../rows.ts';
import { answered, type Streams, type World, worldOf } from '../world.ts';
import { escrowVerbs } from './escrow.ts';

export function keyVerbs(streams: Streams): Command {
  const group = new Command('key').description('key records: state, origin, provenance, uses; never values');
  group
    .command('list')
    .description('keys as this CSP holds them now')
    .option('--all', 'also as they were held before they left and came back')
    .action(async ({ all }: { readonly all?: boolean }, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const path = all === true ? '/v1/keys?former=true' : '/v1/keys';
      const { items } = answered(await broker.get<{ readonly items: readonly Key[] }>(path));
      await world.list(items, all === true ? allKeyColumns : keyColumns);
    });
  group
    .command('show <key>')
    .description('one key: its dated history, every time it was held here, who holds or held it, what peers reported of it')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      await world.show(answered(await broker.get<KeyDetail>(`/v1/keys/${encodeURIComponent(id)}`)), keyDetailColumns);
    });
  for (const verb of CHANGES) changeVerb(group, streams, verb);
  usesVerb(group, streams);
  rotateVerb(group, streams);
  group.addCommand(escrowVerbs(streams));
  return group;
}

interface Change {
  readonly verb: string;
  readonly description: string;
  /** KMIP's revocation reason that peers are told unless another is said. */
  readonly code: string;
}
const CODES = ['unspecified', 'key-compromise', 'superseded', 'cessation-of-operation', 'privilege-withdrawn'];
const CHANGES: readonly Change[] = [
  { verb: 'suspend', description: 'no host gets the key until it is resumed; a running VM runs on', code: 'unspecified' },
  { verb: 'resume', description: 'end a suspension', code: 'unspecified' },
  { verb: 'deactivate', description: 'no host gets the key any more', code: 'cessation-of-operation' },
  { verb: 'compromise', description: 'others may know the key: it is never used again', code: 'key-compromise' },
  { verb: 'destroy', description: 'destroy a key that nobody needs: what it opens can never be read again', code: 'superseded' },
];

function changeVerb(group: Command, streams: Streams, { verb, description, code }: Change): void {
  const command = group
    .command(`${verb} <key>`)
    .description(`${description}; every peer that ever held it is told`)
    .requiredOption('--reason <text>', 'for the records of this CSP; peers are not told')
    .addOption(new Option('--code <code>', 'what peers are told').choices(CODES).default(code));
  if (verb === 'destroy') command.requiredOption('--yes', 'yes, for ever');
  command.action(async (id: string, options: { readonly reason: string; readonly code: string }, own: Command) => {
    const world = worldOf(own, streams);
    const broker = await world.broker();
    const body = { reason: options.reason, code: options.code };
    const path = `/v1/keys/${encodeURIComponent(id)}/${verb}`;
    await world.show(answered(await broker.act<KeyDetail>('POST', path, body)), keyDetailColumns);
  });
}

function usesVerb(group: Command, streams: Streams): void {
  group
    .command('uses [key]')
    .description('every use of a key, newest first; --verify walks the chain of all uses of all keys')
    .option('--verify', 'check the hash chain instead; exit code 3 if it is broken')
    .action(async (id: string | undefined, options: { readonly verify?: boolean }, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      if (options.verify === true) {
        const verdict = answered(await broker.get<UsesVerdict>('/v1/key-uses/verdict'));
        await world.show(verdict, verdictColumns);
        const { text, advice } = OWN_CODES.KEY_USES_BROKEN;
        if (!verdict.intact) throw new VerbError(EXIT.verificationFailed, 'KEY_USES_BROKEN', text, advice);
        return;
      }
      if (id === undefined) throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', 'which key? or --verify');
      const path = `/v1/keys/${encodeURIComponent(id)}/uses`;
      await world.list(answered(await broker.get<{ readonly items: readonly KeyUse[] }>(path)).items, useColumns);
    });
}

/** Answers in which nothing moved, before it gives up: another replica may be at work, or a request hold an old version. */
const IDLE_ANSWERS_MAX = 20;

function rotateVerb(group: Command, streams: Streams): void {
  group
    .command('rotate <project>')
    .description('a new KEK for a project, and all its keys under it; image data is not touched. Interrupted, run it again')
    .requiredOption('--reason <text>', 'for the records of this CSP')
    .action(async (project: string, { reason }: { readonly reason: string }, command: Command) => {
      const world = worldOf(command, streams);
      const rotated = await rotate(world, project, reason);
      await world.show(rotated, rotationColumns);
    });
}

async function rotate(world: World, project: string, reason: string): Promise<Rotation> {
  const broker = await world.broker();
  const path = `/v1/projects/${encodeURIComponent(project)}/rotations`;
  const { errIsTerminal, err } = world.streams;
  let last: Rotation | undefined;
  for (let idle = 0; idle < IDLE_ANSWERS_MAX; ) {
    const body = last === undefined ? { reason } : { reason, version: last.version };
    const answer = answered(await broker.act<Rotation>('POST', path, body));
    if (errIsTerminal) err(`\r${answer.deks} keys, ${answer.secrets} secrets moved, ${answer.left} left  `);
    if (answer.done) {
      if (errIsTerminal) err('\n');
      return answer;
    }
    idle = last !== undefined && answer.deks + answer.secrets === last.deks + last.secrets ? idle + 1 : 0;
    last = answer;
  }
  const { text, advice } = OWN_CODES.ROTATION_INCOMPLETE;
  throw new VerbError(EXIT.failed, 'ROTATION_INCOMPLETE', `${text} (${last?.left} left)`, advice);
}
