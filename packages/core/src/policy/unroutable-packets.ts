/** Reads what `unroutablePackets` counts, with what every shell has itself. */
export const networkCountersScript =
  'for f in snmp snmp6; do while IFS= read -r line; do echo "$line"; done </proc/net/$f || true; done 2>/dev/null';

/**
 * How many packets a Linux kernel has given up for want of a way, since the network of the sandbox was made: those without a route, and
 * those whose next hop nobody is. Of the latter it tells the sender by a message of its own, as it does of datagrams to a local port that
 * nobody listens on; these are told apart by their own count.
 *
 * @param text `/proc/net/snmp` and `/proc/net/snmp6`
 * @returns undefined when that is not there
 */
export function unroutablePackets(text: string): number | undefined {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/));
  const read = (group: string, name: string): number | undefined => {
    const [names, values] = lines.filter(([first]) => first === `${group}:`);
    const value = values?.[names?.indexOf(name) ?? -1];
    return value !== undefined && /^\d+$/.test(value) ? Number(value) : undefined;
  };
  const noRoute = read('Ip', 'OutNoRoutes');
  const given = read('Icmp', 'OutDestUnreachs');
  if (noRoute === undefined || given === undefined) return undefined;
  const local = (read('Udp', 'NoPorts') ?? 0) + (read('UdpLite', 'NoPorts') ?? 0);
  const noRoute6 = Number(lines.find(([name]) => name === 'Ip6OutNoRoutes')?.[1] ?? 0);
  return noRoute + noRoute6 + Math.max(0, given - local);
}
