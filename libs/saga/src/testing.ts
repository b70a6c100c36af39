export { append, type Party, party, placeDigest, placed, propose, receive, step } from './testing/party.ts';
export { performed, RECEIPT } from './testing/performer.ts';
export * from './testing/samples.ts';
export * from './testing/stage.ts';
