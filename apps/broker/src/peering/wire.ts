import { digest, trustDomain } from '@carnet/events';
import { z } from 'zod';
import { card, crlList, nonce } from './card.ts';
import { invitationId } from './invitation.ts';

// What the two brokers say to each other, in JSON over TLS 1.3, both certificates shown. Whoever joins asks, whoever invited answers: one
// of the two needs no door.

const mac = z.string().regex(/^[0-9a-f]{64}$/);

export const HELLO_PATH = '/peering/v1/hello';
export const helloRequest = z.strictObject({ invitation: invitationId, from: trustDomain, nonce, card });
export const helloAnswer = z.strictObject({ nonce, card });

export const FINISH_PATH = '/peering/v1/finish';
export const finishRequest = z.strictObject({ invitation: invitationId, from: trustDomain, proof: mac });
export const finishAnswer = z.strictObject({ proof: mac });

/** Afterwards, again and again: whether people confirmed, and revocation lists. */
export const NEWS_PATH = '/peering/v1/news';
export const newsRequest = z.strictObject({ from: trustDomain, transcript: digest, confirmed: z.boolean(), crls: crlList });
export const newsAnswer = z.strictObject({ confirmed: z.boolean(), crls: crlList });

/** How a refusal comes. */
export const refusalAnswer = z.object({ code: z.string().max(64), text: z.string().max(1_000) });
