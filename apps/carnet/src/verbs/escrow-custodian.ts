import { readFileSync, writeFileSync } from 'node:fs';
import { dsseEnvelope, recoveryId, type SpiffeId, spiffeId, timestamp, uuidv7 } from '@carnet/events';
import {
  type CustodianFile,
  createCustodianFile,
  custodianFile,
  giveOwnShare,
  type Own,
  proveOwnShare,
  type Result,
  readPassphrase,
  type Said,
  statements,
} from '@carnet/keys';
import { leafSigner, readCertificate } from '@carnet/pki';
import { EXIT, VerbError } from '../exit.ts';
import type { Custodian, Drill, Envelope, EscrowDetail, Recovery } from '../rows-escrow.ts';
import { answered, type World } from '../world.ts';
import type { OwnKey } from './escrow.ts';
import { identityOf } from './wish.ts';

// Loaded by the verbs that sign alone. Shares are opened in this process, on the custodian's machine, and nowhere else.

type Identity = { readonly id: SpiffeId; readonly say: (statement: object) => Said };

async function identityIn(world: World): Promise<Identity> {
  const held = identityOf(await world.context());
  if (held === undefined)
    throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', 'this needs a context with a certificate: a statement is signed with it');
  const leaf = readCertificate(held.leaf);
  const uri = leaf.ok ? leaf.value.names.find(({ kind }) => kind === 'uri') : undefined;
  const signer = leafSigner(held.keyPem, held.leaf);
  return {
    id: spiffeId.parse(uri?.kind === 'uri' ? uri.text : ''),
    say: (statement) => ({
      envelope: dsseEnvelope.parse(JSON.parse(statements.signStatement(statement, signer))),
      certificate: Buffer.from(held.leaf).toString('base64'),
    }),
  };
}

const nowOf = ({ streams }: World) => timestamp.parse(new Date(streams.nowMs()).toISOString());

/** A refusal of the lib, as the verb's end. */
function must<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new VerbError(EXIT.refused, result.code, result.text, `carnet error ${result.code} says more.`);
}

export async function request(
  escrow: string,
  { reason, forMs }: { readonly reason: string; readonly forMs: number },
  world: World,
): Promise<Recovery> {
  const [broker, me] = [await world.broker(), await identityIn(world)];
  const { digest } = answered(await broker.get<EscrowDetail>(`/v1/escrows/${encodeURIComponent(escrow)}`));
  const at = world.streams.nowMs();
  const said = {
    kind: 'recovery-ask',
    recovery: recoveryId.parse(uuidv7(at, world.streams.random(10))),
    escrow,
    manifest: digest,
    asker: me.id,
    reason,
    notAfter: new Date(at + forMs).toISOString(),
    at: nowOf(world),
  };
  return answered(await broker.act<Recovery>('POST', '/v1/recoveries', me.say(said)));
}

export async function enroll(own: OwnKey, world: World): Promise<Custodian> {
  const [broker, me] = [await world.broker(), await identityIn(world)];
  const file = readOwnFile(own.keyFile) ?? (await makeOwnFile(own, me.id, world));
  if (file.custodian !== me.id)
    throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', `${own.keyFile} is of ${file.custodian}, and you are ${me.id}`);
  const said = { kind: 'sealing-key', custodian: me.id, publicKey: file.publicKey, at: nowOf(world) };
  return answered(await broker.act<Custodian>('POST', '/v1/custodians', me.say(said)));
}

export async function prove(id: string, own: OwnKey, world: World): Promise<Drill> {
  const [broker, me] = [await world.broker(), await identityIn(world)];
  const { escrow, envelope } = answered(await broker.get<Drill>(`/v1/drills/${encodeURIComponent(id)}`));
  const { said, digest } = readSaid(statements.drill, envelope);
  world.streams.err(`${said.by} asks for a proof until ${said.notAfter}: ${said.reason}\n`);
  const proof = await withShare(escrow, own, world, (share) => proveOwnShare(share, said));
  const answer = { kind: 'proof', drill: said.drill, asked: digest, custodian: me.id, proof, at: nowOf(world) };
  return answered(await broker.act<Drill>('POST', '/v1/drills/proofs', me.say(answer)));
}

export async function approve(
  id: string,
  { reason, ...own }: OwnKey & { readonly reason: string },
  world: World,
): Promise<Recovery> {
  const [broker, me] = [await world.broker(), await identityIn(world)];
  const { envelope } = answered(await broker.get<Recovery>(`/v1/recoveries/${encodeURIComponent(id)}`));
  const { said, digest } = readSaid(statements.request, envelope);
  const { asker, escrow, recovery, reason: why, notAfter } = said.said;
  world.streams.err(`${asker} asks for the key of escrow ${escrow} until ${notAfter}: ${why}\nrequest ${digest}\n`);
  const { publicKey } = said;
  const share = await withShare(escrow, own, world, (held) => giveOwnShare(held, { publicKey, request: digest }));
  const answer = { kind: 'recovery-approval', recovery, request: digest, custodian: me.id, reason, share, at: nowOf(world) };
  return answered(await broker.act<Recovery>('POST', '/v1/recoveries/approvals', me.say(answer)));
}

/** The broker's word is not needed: what it shows wrongly does not open, and what is answered is about exactly what was shown. */
function readSaid<T>(schema: Parameters<typeof statements.hear<T>>[0], envelope: Envelope) {
  const parsed = dsseEnvelope.parse(envelope);
  const said = schema.safeParse(statements.payloadOf(parsed));
  if (!said.success) throw new VerbError(EXIT.failed, 'STATEMENT_INVALID', 'the broker shows what is no statement of this kind');
  return { said: said.data, digest: statements.statementDigest(JSON.stringify(parsed)) };
}

async function withShare<T>(
  escrow: string,
  { keyFile, passphraseFile }: OwnKey,
  world: World,
  use: (own: Own) => Promise<Result<T>>,
): Promise<T> {
  const broker = await world.broker();
  const detail = answered(await broker.get<EscrowDetail>(`/v1/escrows/${encodeURIComponent(escrow)}`));
  const { said: manifest } = readSaid(statements.manifest, detail.manifest);
  const file = readOwnFile(keyFile);
  if (file === undefined) throw new VerbError(EXIT.usage, 'CUSTODIAN_FILE_INVALID', `${keyFile} is not there`);
  const seat = manifest.terms.seats.findIndex(({ custodian }) => custodian === file.custodian);
  const sealed = detail.shares[seat];
  if (sealed === undefined) throw new VerbError(EXIT.refused, 'CUSTODIAN_UNKNOWN', `${file.custodian} has no share of ${escrow}`);
  const passphrase = must(await readPassphrase({ kind: 'file', path: passphraseFile }));
  try {
    return must(await use({ file, passphrase, manifest, sealed }));
  } finally {
    passphrase.fill(0);
  }
}

function readOwnFile(path: string): CustodianFile | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new VerbError(EXIT.usage, 'CUSTODIAN_FILE_INVALID', cause instanceof Error ? cause.message : String(cause));
  }
  try {
    return custodianFile.parse(JSON.parse(text));
  } catch {
    throw new VerbError(EXIT.usage, 'CUSTODIAN_FILE_INVALID', `${path} is not a sealing key of ours`);
  }
}

/** Never over another: the shares that are sealed to it would be lost. */
async function makeOwnFile({ keyFile, passphraseFile }: OwnKey, custodian: SpiffeId, world: World): Promise<CustodianFile> {
  const passphrase = must(await readPassphrase({ kind: 'file', path: passphraseFile }));
  try {
    const file = await createCustodianFile(custodian, passphrase, world.streams.random);
    writeFileSync(keyFile, `${JSON.stringify(file)}\n`, { flag: 'wx', mode: 0o600 });
    world.streams.err(
      `carnet: the sealing key is in ${keyFile}: keep a copy of it and of its passphrase, apart from each other\n`,
    );
    return file;
  } finally {
    passphrase.fill(0);
  }
}
