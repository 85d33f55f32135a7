import { expect, test } from 'vitest';
import { unroutablePackets } from './unroutable-packets.ts';

const counters = (noRoutes: number, unreachable: number, noPorts: number) =>
  `Ip: Forwarding OutDiscards OutNoRoutes
Ip: 1 0 ${noRoutes}
Icmp: InMsgs OutMsgs OutDestUnreachs
Icmp: 4 4 ${unreachable}
IcmpMsg: InType3 OutType3
IcmpMsg: 4 4
Udp: InDatagrams NoPorts InErrors
Udp: 0 ${noPorts} 0
UdpLite: InDatagrams NoPorts
UdpLite: 0 0
`;

test('packets without a route and without a next hop are counted together', () => {
  expect(unroutablePackets(counters(0, 0, 0))).toBe(0);
  expect(unroutablePackets(counters(3, 4, 0))).toBe(7);
  expect(unroutablePackets(`${counters(1, 0, 0)}Ip6InReceives  9\nIp6OutNoRoutes   \t2\n`)).toBe(3);
});

test('datagrams to a local port that nobody listens on are none', () => {
  expect(unroutablePackets(counters(0, 7, 3))).toBe(4);
  expect(unroutablePackets(counters(0, 1, 5))).toBe(0);
});

test.each(['', 'Ip: OutNoRoutes\n', 'Ip: OutNoRoutes\nIp: x\nIcmp: OutDestUnreachs\nIcmp: 1\n'])(
  'counters that are not there count nothing: %j',
  (text) => {
    expect(unroutablePackets(text)).toBeUndefined();
  },
);
