import { Command } from 'commander';
import { type Host, hostColumns, peerColumns } from '../rows.ts';
import type { Streams } from '../world.ts';
import { listVerb } from './collection.ts';
import { agreementVerbs } from './peer-agreement.ts';
import { invitationVerbs } from './peer-invitation.ts';
import { proofVerb } from './peer-proof.ts';

export function peerVerbs(streams: Streams): Command {
  const group = new Command('peer').description('peers: how they come and go, and how far the ledgers with each have come');
  listVerb(group, streams, '/v1/peers', 'all peers', peerColumns);
  invitationVerbs(group, streams);
  agreementVerbs(group, streams);
  proofVerb(group, streams);
  return group;
}

export function hostVerbs(streams: Streams): Command {
  const group = new Command('host').description('hypervisor hosts of this CSP');
  listVerb<Host>(group, streams, '/v1/hosts', 'all hosts', hostColumns);
  return group;
}
