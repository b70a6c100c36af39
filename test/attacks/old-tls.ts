import type { ConnectionOptions } from 'node:tls';

/** How whoever attacks speaks TLS of yesterday: the one place of these tests that does. */
export const TLS_1_2: ConnectionOptions = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' };
export const TLS_1_1: ConnectionOptions = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' };
