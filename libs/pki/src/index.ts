export { type Authority, createIntermediate, createRoot, type IssuedLeaf, issueLeaf, type Lifetime } from './authority.ts';
export type { RandomBytes } from './build-certificate.ts';
export { createCrl, REVOCATION_REASONS, type Revocation, type RevocationReason } from './build-crl.ts';
export { type Certificate, readCertificate } from './certificate.ts';
export { brokerId, chainValidator } from './chain-validator.ts';
export * from './codes.ts';
export { type Crl, readCrl } from './crl.ts';
export { type CrlMarks, fileCrlMarks, memoryCrlMarks } from './crl-marks.ts';
export { writeDurably } from './durable.ts';
export * from './error.ts';
export * from './federation.ts';
export { type Introducing, introducingTlsOptions, shownLeaf } from './introducing.ts';
export { acceptIssuer } from './issuing/accept-issuer.ts';
export { authorityPaths, initIssuer, initRoot, openAuthority, readIdentity } from './issuing/authority-files.ts';
export { type LeafWish, type Office, signIssuer, signLeaf } from './issuing/issue.ts';
export { type IssuedLine, type Register, readRegister } from './issuing/register.ts';
export { renewLeaf } from './issuing/renew-leaf.ts';
export { isCrlDue, makeCrl, type RevocationReach, type RevocationWish, revokeCertificate } from './issuing/revoke.ts';
export { loadLeaf, type OwnLeaf, readPrivateText } from './leaf-files.ts';
export * from './limits.ts';
export { type PathQuestion, type PeerIdentity, type TrustStore, validatePath } from './path.ts';
export * from './pem.ts';
export * from './profiles.ts';
export { type AskIssuer, estIssuer, localIssuer } from './renewal/ask-issuer.ts';
export { keepCrl, numberIn } from './renewal/crl-file.ts';
export { askRevocation, fetchCrl, type IssuerAddress } from './renewal/issuer-client.ts';
export { issuingServiceId } from './renewal/issuer-paths.ts';
export type { LeafFiles } from './renewal/leaf-pair.ts';
export { type LeafValidity, type LiveLeaf, openLeaf, validityOf } from './renewal/live-leaf.ts';
export { type RenewalPorts, renew } from './renewal/renew.ts';
export { type RenewalService, renewFor, serveRenewals } from './renewal/serve-renewals.ts';
export { type TendPorts, tendLeaf } from './renewal/tend-leaf.ts';
export { tendOwnLeaf } from './renewal/tend-own-leaf.ts';
export { tlsOf } from './renewal/tls-of.ts';
export { type CertificateRequest, createRequest, type RequestedNames, readRequest, readRequestPem } from './request.ts';
export * from './rsa-keys.ts';
export { leafSigner, rsaPssVerifier } from './rsa-pss.ts';
export {
  clientTlsOptions,
  type ExpectedPeer,
  guardServer,
  peerIdentity,
  serverTlsOptions,
  type TlsMaterial,
  type TlsTrust,
  tokenServerTlsOptions,
} from './tls.ts';
export { exchangeOverTls, type TlsAnswer, type TlsQuestion } from './tls-exchange.ts';
export { openTrustFiles, readTrustFiles, type TrustFiles } from './trust-files.ts';
