import {
  type DestructionReceipt,
  type Evidence,
  evidence,
  isWeakerRekey,
  replacedVolumes,
  type SignedEvidence,
} from '@carnet/events';
import { agreedRekey, type MigrationState } from '@carnet/saga';
import { accept, type Checked, refuse } from '@carnet/trust';

type ReceiptsCode = 'RECEIPT_INCOMPLETE' | 'RECEIPT_DIFFERS' | 'REKEY_OMITTED' | 'REKEY_DIFFERS';
type Step = Checked<null, ReceiptsCode>;

/** Who can still open the volumes: what was to be destroyed is, and what was to be re-keyed is, each by its host's own word. */
export function checkReceipts(m: MigrationState): Step {
  for (const check of [checkRekeyDone, checkRekeyWord, checkRetirement, checkGivenBack]) {
    const checked = check(m);
    if (!checked.ok) return checked;
  }
  return accept(null);
}

/** Apart from the fold, which voids a start, or an end, before its re-keying: what stands must be what was agreed. */
function checkRekeyDone(m: MigrationState): Step {
  const { StartAuthorized: authorized, MigrationFinalized: finalized, VolumeRekeyed: rekeyed } = m.facts;
  const agreed = agreedRekey(m);
  const needing = agreed === 'full-online' ? finalized : authorized;
  if (needing === undefined || agreed === 'none') return accept(null);
  if (rekeyed !== undefined && !isWeakerRekey(rekeyed.data.method, agreed)) return accept(null);
  return refuse('REKEY_OMITTED', 'the target may run the VM on volumes that it did not re-key as agreed', {
    expected: agreed,
    got: rekeyed?.data.method ?? 'nothing',
  });
}

/** Its signature was checked with its event. */
function factsOf(signed: SignedEvidence | undefined): Evidence['facts'] {
  try {
    const payload = Buffer.from(signed?.payload ?? '', 'base64').toString('utf8');
    return evidence.safeParse(JSON.parse(payload)).data?.facts ?? {};
  } catch {
    return {}; // no testimony at all: reported with its event
  }
}

/** The agent's flat facts about several artifacts: `artifact0`, `fate0`, `artifact1` … */
function* rowsOf(facts: Evidence['facts'], ...names: readonly string[]): Generator<readonly string[]> {
  for (let i = 0; facts[`artifact${i}`] !== undefined; i++)
    yield [String(facts[`artifact${i}`]), ...names.map((name) => String(facts[`${name}${i}`] ?? 'none'))];
}

/** What the target says of keys and headers is what its host saw: a broker alone knows no header. */
function checkRekeyWord({ facts: { VolumeRekeyed: rekeyed } }: MigrationState): Step {
  if (rekeyed === undefined || rekeyed.data.method === 'none') return accept(null);
  const facts = factsOf(rekeyed.data.evidence);
  const seen = [...rowsOf(facts, 'before', 'after')].map((row) => row.join(' ')).toSorted();
  const said = rekeyed.data.volumes
    .map(({ artifact, from, to }) => `${artifact} ${from.headerDigest} ${to.headerDigest}`)
    .toSorted();
  if (facts['method'] === rekeyed.data.method && said.join() === seen.join()) return accept(null);
  return refuse('REKEY_DIFFERS', 'the host testifies to other headers or another method than the target says', {
    expected: `${facts['method'] ?? 'nothing'}: ${seen.join(', ') || 'no volume'}`,
    got: `${rekeyed.data.method}: ${said.join(', ')}`,
  });
}

type Owed = { readonly keys: readonly string[]; readonly artifacts: readonly string[] };

/** After retirement nothing that was deposited may be left at the source. */
function checkRetirement({ facts: { SourceRetired: retired, KeyDeposited: deposit } }: MigrationState): Step {
  if (retired === undefined || deposit === undefined) return accept(null);
  const { keys } = deposit.data;
  return checkReceipt(retired.data.receipt, {
    keys: keys.map(({ key }) => key),
    artifacts: keys.map(({ artifact }) => artifact),
  });
}

/** A target that gives the VM back, or discards its fenced copy, keeps nothing of what had come: the image once verified, keys once imported, its own once made. */
function checkGivenBack({ facts }: MigrationState): Step {
  const { CopyDiscarded: discarded, KeyDeposited: deposit, VolumeRekeyed: rekeyed } = facts;
  const relinquished = facts.MigrationRelinquished ?? discarded;
  if (relinquished === undefined || deposit === undefined) return accept(null);
  const own = replacedVolumes(rekeyed?.data).map(({ to }) => to.key);
  return checkReceipt(relinquished.data.receipt, {
    keys: [...(facts.KeyImported?.data.keys.map(({ key }) => key) ?? []), ...own],
    artifacts: facts.ImageVerified?.data.roots.map(({ artifact }) => artifact) ?? [],
  });
}

/** Everything is named; where it is said how each went, everything is; and the host says the same of its files. */
function checkReceipt(receipt: DestructionReceipt, owed: Owed): Step {
  const named = (lists: readonly (readonly string[] | undefined)[], wanted: string): boolean =>
    lists.every((list) => list === undefined || list.includes(wanted));
  const keys = [receipt.keys, receipt.keyFates?.map(({ key }) => key)];
  const artifacts = [receipt.artifacts, receipt.artifactFates?.map(({ artifact }) => artifact)];
  const left = owed.keys.find((key) => !named(keys, key)) ?? owed.artifacts.find((artifact) => !named(artifacts, artifact));
  if (left !== undefined)
    return refuse('RECEIPT_INCOMPLETE', 'expected the receipt to name every key and artifact that was held', {
      expected: left,
      got: 'not named',
    });
  const seen = [...rowsOf(factsOf(receipt.evidence), 'fate', 'header')].map((row) => row.join(' ')).toSorted();
  const said = (receipt.artifactFates ?? [])
    .filter(({ fate }) => fate !== 'absent')
    .map(({ artifact, fate, headerDigest = 'none' }) => `${artifact} ${fate} ${headerDigest}`)
    .toSorted();
  if (receipt.artifactFates === undefined || said.join() === seen.join()) return accept(null);
  return refuse('RECEIPT_DIFFERS', 'the host testifies to another destruction than the receipt says', {
    expected: seen.join(', ') || 'nothing',
    got: said.join(', ') || 'nothing',
  });
}
