import type { SpiffeId, Timestamp, TrustDomain, VmId } from '@carnet/events';
import type { Db } from '@carnet/store';
import type { Signer } from '@carnet/trust';
import type { KeyPorts } from '../ports.ts';
import type { Identify } from './statements.ts';

/** What escrows need beside the key manager: who speaks for this CSP, who may speak to it, and who is to be told. */
export type EscrowContext = {
  readonly csp: TrustDomain;
  /** This CSP's event key of now. */
  readonly signer: () => Signer;
  readonly identify: Identify;
  /** By the policy set of now: whether a person may hold shares and give them, or ask for a key. Whoever brings a statement need not be who signed it. */
  readonly may: (person: SpiffeId, duty: 'hold' | 'ask') => boolean;
  /** Peers with a ledger of ours: each witnesses every step. */
  readonly peers: () => readonly TrustDomain[];
  /** By the fold of all ledgers: whether this CSP holds the VM in its current epoch, and no move of it is under way. `unsure`: our own are not whole. */
  readonly isHolder: (vm: VmId) => Promise<boolean | 'unsure'>;
  /** By the agreement with the CSP that the VM came from: what it does not allow about an escrow of M (`threshold`) of N (`shares`), in a sentence. */
  readonly notAgreed: (vm: VmId, quorum: { readonly threshold: number; readonly shares: number }) => Promise<string | undefined>;
};

export type EscrowPorts = EscrowContext & { readonly keys: KeyPorts; readonly db: Db; readonly now: () => Timestamp };

/** A step that a principal takes through the API, with its reason. */
export type Step = { readonly by: string; readonly reason: string };
