import { X509Certificate, createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { environmentOf } from '../src/environment.ts';
import { createAuthority } from '../src/gateway/certificates.ts';
import { GatewayFiles } from '../src/gateway-files.ts';
import { policy, rule } from './fixtures.ts';

const settings = { v: 1, nameServers: [], upstreamAuthorities: '' } as const;

/** The certificates of a store, read as Java's documentation of the format says. */
function certificatesIn(store: Buffer): readonly Buffer[] {
  let at = 12;
  const take = (bytes: number): Buffer => store.subarray(at, (at += bytes));
  const found: Buffer[] = [];
  for (let entry = 0; entry < store.readUInt32BE(8); entry += 1) {
    expect(take(4).readUInt32BE()).toBe(2);
    take(take(2).readUInt16BE());
    take(8);
    expect(take(take(2).readUInt16BE()).toString()).toBe('X.509');
    found.push(take(take(4).readUInt32BE()));
  }
  expect(at).toBe(store.length - 20);
  return found;
}

test('Java finds the public authorities and that of the home in a store of its own form', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'oct-egress-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, 'trust/store.jks');
  const made = async (): Promise<Buffer> => {
    await new GatewayFiles(directory).ensure(settings, Date.now());
    return readFile(file);
  };
  const store = await made();
  expect(store.subarray(0, 8).toString('hex')).toBe('feedfeed00000002');
  const own = new X509Certificate(await readFile(join(directory, 'trust/ca.pem')));
  const subjects = certificatesIn(store).map((raw) => new X509Certificate(raw).subject);
  expect(subjects).toHaveLength(rootCertificates.length + 1);
  expect(subjects.at(-1)).toBe(own.subject);
  const password = Buffer.from('changeit'.split('').flatMap((letter) => [0, letter.charCodeAt(0)]));
  const digest = createHash('sha1').update(password).update('Mighty Aphrodite').update(store.subarray(0, -20)).digest();
  expect(store.subarray(-20).equals(digest)).toBe(true);
  expect((await stat(file)).mode & 0o777).toBe(0o644);
  await rm(file);
  expect((await made()).equals(store)).toBe(true);
});

test('the store of Java follows another authority also after a process that could not write it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'oct-egress-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, 'trust/store.jks');
  const ensure = () => new GatewayFiles(directory).ensure(settings, Date.now());
  await ensure();
  const { certificate, key } = createAuthority('Another', Date.now());
  await writeFile(join(directory, 'authority/key.pem'), key);
  await writeFile(join(directory, 'authority/certificate.pem'), certificate);
  await rename(file, `${file}.before`);
  await mkdir(join(file, 'in-the-way'), { recursive: true });
  await expect(ensure()).rejects.toMatchObject({ syscall: 'rename' });
  await rm(file, { recursive: true });
  await rename(`${file}.before`, file);
  await ensure();
  const last = certificatesIn(await readFile(file)).at(-1);
  expect(last?.equals(new X509Certificate(certificate).raw)).toBe(true);
});

test('programs are told of the authority where a rule ends TLS, and only there', () => {
  const addresses = { gatewayAddress: '10.0.0.2', sandboxAddress: '10.0.0.3' };
  const content = { v: 1, taskId: 'one', ...addresses, version: 1, digest: '1' } as const;
  const told = (terminate: boolean): Readonly<Record<string, string>> => {
    const network = policy(rule('git.example.org', terminate ? { terminate } : {}));
    return environmentOf(network, { ...content, network });
  };
  expect(told(true)).toMatchObject({
    HTTPS_PROXY: 'http://10.0.0.2:3128',
    AWS_CA_BUNDLE: '/run/opencode-tools/bundle.pem',
    DENO_CERT: '/run/opencode-tools/ca.pem',
    JAVA_TOOL_OPTIONS: '-Djavax.net.ssl.trustStore=/run/opencode-tools/store.jks',
    SSL_CERT_FILE: '/run/opencode-tools/bundle.pem',
  });
  expect(Object.keys(told(false)).toSorted()).toEqual(
    ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy', 'NO_PROXY', 'no_proxy', 'NODE_USE_ENV_PROXY'].toSorted(),
  );
  expect(environmentOf(policy(), undefined)).toEqual({});
});
