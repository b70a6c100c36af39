import type { Db, Tx } from '@carnet/store';
import type { KeyPorts } from '../ports.ts';
import * as custodians from './custodians.ts';
import * as drills from './drills.ts';
import * as escrows from './escrows.ts';
import * as news from './news.ts';
import type { EscrowContext, EscrowPorts } from './ports.ts';
import { recover } from './recover.ts';
import * as recoveries from './recoveries.ts';
import type { Said } from './statements.ts';
import { onEscrow } from './tables.ts';

export type Escrows = ReturnType<typeof escrowsOf>;

/** Every function answers a value or a refusal, and a refusal has changed nothing. */
export const escrowsOf = (keys: KeyPorts, db: Db, context: EscrowContext) => {
  const ports: EscrowPorts = { ...context, keys, db, now: keys.now };
  return {
    enroll: (said: Said) => custodians.enroll(ports, said),
    custodians: () => custodians.listCustodians(ports),
    create: (wanted: escrows.EscrowWanted) => escrows.createEscrow(ports, wanted),
    list: (filter: { readonly key?: string } = {}) => escrows.listEscrows(ports, filter),
    find: (escrow: string) => escrows.readEscrow(onEscrow(db), escrow),
    openDrill: (wanted: drills.DrillWanted) => drills.openDrill(ports, wanted),
    prove: (said: Said) => drills.prove(ports, said),
    closeDrill: (wanted: { readonly drill: string; readonly by: string }) => drills.closeDrill(ports, wanted),
    drills: (escrow: string) => drills.drillsOf(ports, escrow),
    drill: (drill: string) => drills.findDrill(ports, drill),
    ask: (said: Said) => recoveries.askRecovery(ports, said),
    approve: (said: Said) => recoveries.approve(ports, said),
    recover: (wanted: { readonly recovery: string; readonly by: string }) => recover(ports, wanted),
    recoveries: (escrow: string) => recoveries.recoveriesOf(ports, escrow),
    recovery: (recovery: string) => recoveries.findRecovery(ports, recovery),
    expire: () => recoveries.expireRecoveries(ports),
    owedNews: () => news.owedNews(ports),
    tellOnce: (tx: Tx, owed: news.OwedNews) => news.tellOnce(ports, tx, owed),
  };
};
