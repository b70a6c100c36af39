import { LibvirtError } from './error.ts';
import { HEADER_BYTES, LENGTH_BYTES, MESSAGE_BYTES_MAX } from './limits.ts';
import type { XdrReader } from './xdr-reader.ts';

/** Programs of one libvirt socket (virnetprotocol, remote_protocol, qemu_protocol, keepalive). All are version 1. */
export const Program = { REMOTE: 0x2000_8086, QEMU: 0x2000_8087, KEEPALIVE: 0x6b65_6570 } as const;
export const PROGRAM_VERSION = 1;

export const MessageType = { CALL: 0, REPLY: 1, MESSAGE: 2, STREAM: 3 } as const;
export const MessageStatus = { OK: 0, ERROR: 1, CONTINUE: 2 } as const;

export type Header = {
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
  readonly type: number;
  /** Chosen by the caller; replies and stream packets repeat it. */
  readonly serial: number;
  readonly status: number;
};

/** One packet ready for the socket: length, header, payload. In memory of its own, never of Node's shared pool: it may carry a secret. */
export function encodePacket(header: Header, payload: Uint8Array): Buffer {
  const size = LENGTH_BYTES + HEADER_BYTES + payload.length;
  if (size > LENGTH_BYTES + MESSAGE_BYTES_MAX)
    throw new LibvirtError('ARGUMENT_INVALID', `a packet of ${size} bytes is too large`);
  const packet = Buffer.allocUnsafeSlow(size);
  packet.writeUInt32BE(size, 0);
  packet.writeUInt32BE(header.program, 4);
  packet.writeUInt32BE(header.version, 8);
  packet.writeInt32BE(header.procedure, 12);
  packet.writeInt32BE(header.type, 16);
  packet.writeUInt32BE(header.serial, 20);
  packet.writeInt32BE(header.status, 24);
  packet.set(payload, LENGTH_BYTES + HEADER_BYTES);
  return packet;
}

export function readHeader(reader: XdrReader): Header {
  const header = {
    program: reader.uint(),
    version: reader.uint(),
    procedure: reader.int(),
    type: reader.int(),
    serial: reader.uint(),
    status: reader.int(),
  };
  if (header.version !== PROGRAM_VERSION) {
    throw new LibvirtError('PROTOCOL_VIOLATION', `expected program version 1, got ${header.version}`, { effect: 'unknown' });
  }
  return header;
}
