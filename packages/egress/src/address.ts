import { isIPv4, isIPv6 } from 'node:net';

/** An IP address as a number, with its canonical text. */
export interface Address {
  readonly family: 4 | 6;
  readonly value: bigint;
  readonly text: string;
}

type Range = readonly [network: string, prefix: number];

/** IANA special-purpose registries for IPv4 (RFC 6890 and successors), multicast and reserved space. */
const closedV4: readonly Range[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
];

/** Only 2000::/3 is global; inside it protocol assignments with Teredo (2001::/23) and documentation are not. */
const globalV6: Range = ['2000::', 3];
const closedV6: readonly Range[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['3fff::', 20],
];

/** IPv6 ranges that carry an IPv4 address, and where its last bit is: translation (RFC 6052) and 6to4 (RFC 3056). */
const carriers: readonly { readonly range: Range; readonly shift: bigint }[] = [
  { range: ['64:ff9b::', 96], shift: 0n },
  { range: ['2002::', 16], shift: 80n },
];
const mappedV4: Range = ['::ffff:0:0', 96];
const v4Mask = 0xffff_ffffn;

/** Reads an address in dotted decimal or any IPv6 notation; IPv4 mapped into IPv6 is read as the IPv4 address. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return v4(numberOfV4(text));
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const value = numberOfV6(text);
  if (contains(mappedV4, value, 128)) return v4(value & v4Mask);
  return { family: 6, value, text: new URL(`http://[${text}]`).hostname.slice(1, -1) };
}

/** Tells whether an address leads into the open internet: not to this host, its networks, its cloud or nowhere. */
export function isPublicAddress({ family, value }: Address): boolean {
  if (family === 4) return !closedV4.some((range) => contains(range, value, 32));
  const carrier = carriers.find(({ range }) => contains(range, value, 128));
  if (carrier !== undefined) return isPublicAddress(v4((value >> carrier.shift) & v4Mask));
  return contains(globalV6, value, 128) && !closedV6.some((range) => contains(range, value, 128));
}

function contains([network, prefix]: Range, value: bigint, bits: 32 | 128): boolean {
  const start = bits === 32 ? numberOfV4(network) : numberOfV6(network);
  const shift = BigInt(bits - prefix);
  return value >> shift === start >> shift;
}

function v4(value: bigint): Address {
  const text = [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');
  return { family: 4, value, text };
}

function numberOfV4(text: string): bigint {
  return text.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function numberOfV6(text: string): bigint {
  const hex = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (dotted) => {
    const value = numberOfV4(dotted);
    return `${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
  });
  const [head = '', tail] = hex.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...gap, ...after].reduce((value, part) => (value << 16n) | BigInt(`0x${part}`), 0n);
}
