import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide } from '../src/index.ts';
import { policy, rule } from './fixtures.ts';

const at = (host: string, port = 443) => ({ host, port });
const allows = (ruleHost: string, host: string) => decide(policy(rule(ruleHost)), at(host)).allowed;

describe('without a policy', () => {
  test.each(['fixed-none', 'upgradable'] as const)('mode %s denies everything, rules or not', (mode) => {
    const decision = decide({ mode, rules: [rule('pypi.org')] }, at('pypi.org'));
    expect(decision).toEqual({
      allowed: false,
      rule: 'no-network',
      explanation:
        'Denied by no-network: pypi.org:443, because the task has no network. To get it, create the task with network mode "policy" and a rule for the host.',
    });
  });
});

describe('hosts', () => {
  test.each([
    ['pypi.org', 'pypi.org', true],
    ['pypi.org', 'PyPI.ORG', true],
    ['pypi.org', 'pypi.org.', true],
    ['PyPI.org.', 'pypi.org', true],
    ['pypi.org', 'files.pypi.org', false],
    ['pypi.org', 'evilpypi.org', false],
    ['pypi.org', 'pypi.org.evil.example', false],
    ['pypi.org', 'pypi.org..', false],
    ['*.pypi.org', 'files.pypi.org', true],
    ['*.pypi.org', 'a.b.pypi.org', true],
    ['*.pypi.org', 'pypi.org', false],
    ['*.pypi.org', 'evilpypi.org', false],
    ['bücher.example', 'xn--bcher-kva.example', true],
    ['xn--bcher-kva.example', 'BÜCHER.example', true],
    ['pypi.org', 'pypi。org', true],
    ['pypi.org', 'ｐｙｐｉ.org', true],
    ['pypi.org', 'рypi.org', false],
    ['pypi.org', 'user@pypi.org', false],
    ['pypi.org', 'pypi.org:443', false],
    ['pypi.org', 'pypi.org/x', false],
    ['pypi.org', 'pypi%2eorg', false],
    ['pypi.org', 'pypi.org\u0000.evil.example', false],
    ['pypi.org', '', false],
    ['pypi.org', '.', false],
    ['8.8.8.8', '8.8.8.8', true],
    ['8.8.8.8', '134744072', true],
    ['8.8.8.8', '0x08.0x08.010.8', true],
    ['8.8.8.8', '[::ffff:8.8.8.8]', true],
    ['2606:4700::1111', '2606:4700:0:0:0:0:0:1111', true],
    ['2606:4700::1111', '[2606:4700::1111]', true],
    ['2606:4700::1111', '2606:4700::1112', false],
    ['fe80::1', 'fe80::1%eth0', false],
  ])('the rule %s and the host %j: %s', (ruleHost, host, expected) => {
    expect(allows(ruleHost, host)).toBe(expected);
  });
});

describe('private networks', () => {
  const closed = [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '017700000001',
    '127.0.0.1.',
    '0',
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '169.254.169.254',
    '0xA9FEA9FE',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '[::1]',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b::169.254.169.254',
    '2002:7f00:1::',
    '2002:c0a8:101::1',
    '2001::1',
    'fd00:ec2::254',
    'fe80::1',
    'fec0::1',
    'ff02::1',
    '100::1',
    '2001:db8::1',
    'localhost',
    'LOCALHOST.',
    'db.localhost',
    'metadata.google.internal',
    '１２７.0.0.1',
  ];

  test.each(closed)('%s is denied although a rule names another', (host) => {
    const decision = decide(policy(rule('example.org'), rule('*.google.internal', { name: 'wild' })), at(host));
    expect(decision).toMatchObject({ allowed: false, rule: 'private-address' });
    expect(decision.explanation).toMatch(/To get it, have a rule added that names this very address\.$/);
  });

  test.each(closed)('%s is allowed when a rule names it exactly', (host) => {
    expect(allows(host, host)).toBe(true);
  });

  test.each(['1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '64:ff9b::808:808', '2002:808:808::1'])(
    '%s is public and needs a rule like any other',
    (host) => expect(decide(policy(rule('example.org')), at(host))).toMatchObject({ rule: 'default-deny' }),
  );
});

describe('ports, methods and paths', () => {
  const http = (method?: string, path?: string) => ({
    host: 'example.org',
    port: 80,
    ...(method === undefined ? {} : { method }),
    ...(path === undefined ? {} : { path }),
  });
  const reads = policy(rule('example.org', { name: 'reads', ports: [80], methods: ['GET', 'HEAD'] }));
  const below = policy(rule('example.org', { name: 'api', ports: [80], pathPrefixes: ['/api', '/files/'] }));

  test('a rule without ports means 443', () => {
    const spec = policy(rule('example.org', { ports: [] }));
    expect(decide(spec, at('example.org')).allowed).toBe(true);
    expect(decide(spec, at('example.org', 80)).explanation).toContain('the rule only allows only port 443');
  });

  test('only the named methods are allowed, in their exact form', () => {
    expect(decide(reads, http('GET', '/')).allowed).toBe(true);
    for (const method of ['POST', 'get', 'GETX', undefined])
      expect(decide(reads, http(method, '/')).allowed).toBe(false);
  });

  test.each([
    ['/api', true],
    ['/api/', true],
    ['/api/x', true],
    ['/api?q=/../', true],
    ['/%61pi/x', true],
    ['/x/../api/y', true],
    ['//api/x', false],
    ['/api/x//../../admin', false],
    ['/files/a', true],
    ['/files', false],
    ['/apix', false],
    ['/', false],
    ['/api/../admin', false],
    ['/api/%2e%2e/admin', false],
    ['/api/.%2E/admin', false],
    ['/api/..%2fadmin', false],
    ['/api/..\\admin', false],
    ['/api/..%5cadmin', false],
    ['/api/%252e%252e/admin', false],
    ['/api/..;/admin', false],
    ['/api/%zz', false],
    ['api', false],
    ['http://example.org/api', false],
    ['/api\r\nHost: evil', false],
    ['/api/%00', false],
    ['/api#/../admin', false],
    ['/api?q#/../admin', false],
  ])('the path %j below /api or /files/: %s', (path, expected) => {
    expect(decide(below, http('GET', path)).allowed).toBe(expected);
  });

  test('a rule about paths never lets an encrypted connection through', () => {
    expect(decide(below, http())).toMatchObject({
      allowed: false,
      explanation: expect.stringContaining('is for plain HTTP and terminated hosts only') as string,
    });
  });

  test('a later rule may allow what an earlier one does not', () => {
    const spec = policy(...reads.rules, rule('example.org', { name: 'tls' }));
    expect(decide(spec, at('example.org'))).toEqual({
      allowed: true,
      rule: 'tls',
      explanation: 'The rule tls allows example.org:443.',
    });
  });
});

test('a denial names the nearest rule and the legal way, and no credentials', () => {
  expect(decide(policy(rule('pypi.org', { name: 'python' })), at('pypi.org', 22)).explanation).toBe(
    'Denied by default-deny: pypi.org:22, because the rule python allows only port 443. To get it, have a rule for it added to the egress policy (network.rules) of the task.',
  );
  const leaky = decide(policy(), at('user:secret@pypi.org/?token=secret')).explanation;
  expect(leaky).toContain('pypi.org');
  expect(leaky).not.toContain('secret');
});

describe('for any input', () => {
  const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
  const spellings = ([a, b, c, d]: readonly [number, number, number, number]) => {
    const value = ((a * 256 + b) * 256 + c) * 256 + d;
    const hex = (part: number) => part.toString(16).padStart(2, '0');
    return [
      `${a}.${b}.${c}.${d}`,
      `${value}`,
      `0x${value.toString(16)}`,
      `0${value.toString(8)}`,
      `${a}.${(b << 16) | (c << 8) | d}`,
      `::ffff:${a}.${b}.${c}.${d}`,
      `[::ffff:${hex(a)}${hex(b)}:${hex(c)}${hex(d)}]`,
    ];
  };

  test('every spelling of an address gets the same decision', () => {
    fc.assert(
      fc.property(octets, octets, (named, asked) => {
        const [canonical = ''] = spellings(named);
        const decisions = spellings(asked).map((host) => decide(policy(rule(canonical)), at(host)).rule);
        expect(new Set(decisions).size).toBe(1);
        expect(decisions[0] === 'only').toBe(named.join() === asked.join());
      }),
    );
  });

  test('a policy without rules allows nothing and never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer(), fc.string(), fc.string(), (host, port, method, path) => {
        expect(decide(policy(), { host, port, method, path }).allowed).toBe(false);
      }),
    );
  });

  test('a rule for one domain never lets a host out of it through', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.domain(), fc.webAuthority()), (host) => {
        const decision = decide(policy(rule('example.org'), rule('*.example.org', { name: 'below' })), at(host));
        if (!decision.allowed) return;
        expect(URL.parse(`https://${host}`)?.hostname).toMatch(/^(?:.+\.)?example\.org\.?$/);
      }),
    );
  });

  test('a path that a URL parser resolves out of the prefix is denied', () => {
    const segment = fc.constantFrom('..', '.', '%2e%2e', '.%2e', 'api', 'x', '', '..;', '%2f', '\\..', '%252e%252e');
    const spec = policy(rule('example.org', { ports: [80], pathPrefixes: ['/api'] }));
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 8 }), (segments) => {
        const path = `/${segments.join('/')}`;
        const decision = decide(spec, { host: 'example.org', port: 80, method: 'GET', path });
        if (!decision.allowed) return;
        const resolved = new URL(`http://example.org${path}`).pathname;
        expect(resolved === '/api' || resolved.startsWith('/api/')).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});
