import { createHash } from 'node:crypto';

/** Addresses of a task's network: eight of the range for device benchmarks (RFC 2544), which is never routed. */
export interface Subnet {
  readonly cidr: string;
  readonly gatewayAddress: string;
  readonly sandboxAddress: string;
}

const base = (198 << 24) + (18 << 16);
const size = 8;
const count = 2 ** 17 / size;

/**
 * The subnets to try for a task, best first. The host gets no address in any of them, so they clash with nothing but networks of
 * the same engine.
 */
export function subnetsFor(taskId: string, tries: number): readonly Subnet[] {
  const first = createHash('sha256').update(taskId).digest().readUInt32BE(0);
  return Array.from({ length: tries }, (_, index) => subnetAt((first + index * 7_919) % count));
}

/** Reads back what a network was made with. */
export function subnetOf(cidr: string): Subnet {
  const [address = ''] = cidr.split('/');
  const start = address.split('.').reduce((value, part) => value * 256 + Number(part), 0);
  return subnetFrom(start);
}

function subnetAt(index: number): Subnet {
  return subnetFrom((base >>> 0) + index * size);
}

/** The engine keeps the first host address for a router, which this network does not have. */
function subnetFrom(start: number): Subnet {
  return { cidr: `${dotted(start)}/29`, gatewayAddress: dotted(start + 2), sandboxAddress: dotted(start + 3) };
}

function dotted(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.');
}
