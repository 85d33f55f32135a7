/** A question as it came, and the bytes that an answer repeats. */
export interface DnsQuestion {
  readonly id: number;
  readonly flags: number;
  readonly name: string;
  readonly type: number;
  readonly classCode: number;
  readonly bytes: Buffer;
}

export const dnsTypes = { a: 1, aaaa: 28 } as const;
export const dnsCodes = { ok: 0, formatError: 1, noSuchName: 3, notImplemented: 4, refused: 5 } as const;

const header = 12;
const internet = 1;
const response = 0x8000;
const recursionDesired = 0x0100;
const recursionAvailable = 0x0080;
const operationMask = 0x7800;
const ttlSeconds = 5;

/** Reads a query with one question (RFC 1035); undefined for anything else. */
export function readQuestion(message: Buffer): DnsQuestion | undefined {
  if (message.length < header) return undefined;
  const flags = message.readUInt16BE(2);
  if ((flags & (response | operationMask)) !== 0 || message.readUInt16BE(4) !== 1) return undefined;
  const labels: string[] = [];
  let at = header;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63) return undefined;
    at += 1;
    if (length === 0) break;
    if (at + length > message.length || at - header > 255) return undefined;
    labels.push(message.toString('latin1', at, at + length));
    at += length;
  }
  if (at + 4 > message.length || labels.some((label) => label.includes('.'))) return undefined;
  const bytes = message.subarray(header, at + 4);
  const [type, classCode] = [message.readUInt16BE(at), message.readUInt16BE(at + 2)];
  return { id: message.readUInt16BE(0), flags, name: labels.join('.'), type, classCode, bytes };
}

/** Writes the answer to a question: a code, and one IPv4 address when it is given. */
export function writeAnswer(question: DnsQuestion, code: number, address?: string): Buffer {
  const head = Buffer.alloc(header);
  head.writeUInt16BE(question.id, 0);
  head.writeUInt16BE(response | (question.flags & recursionDesired) | recursionAvailable | code, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(address === undefined ? 0 : 1, 6);
  if (address === undefined) return Buffer.concat([head, question.bytes]);
  const answer = Buffer.alloc(16);
  answer.writeUInt16BE(0xc000 | header, 0);
  answer.writeUInt16BE(dnsTypes.a, 2);
  answer.writeUInt16BE(internet, 4);
  answer.writeUInt32BE(ttlSeconds, 6);
  answer.writeUInt16BE(4, 10);
  Buffer.from(address.split('.').map(Number)).copy(answer, 12);
  return Buffer.concat([head, question.bytes, answer]);
}

export function isInternet(question: DnsQuestion): boolean {
  return question.classCode === internet;
}
