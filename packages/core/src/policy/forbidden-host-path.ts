/** What is known of a host when a path of it is judged. All paths are real paths: no part of them is a link. */
export interface HostFacts {
  /** Home directories of the person whose host it is. */
  readonly userHomes?: readonly string[];
  /** Sockets of engines. */
  readonly sockets?: readonly string[];
  /** Further paths that no sandbox sees, such as the home of opencode-tools. */
  readonly protectedPaths?: readonly string[];
  /** Further places whose files programs of the host run or obey, such as the user's configuration of opencode-tools. */
  readonly steeringPaths?: readonly string[];
  /** Where the host looks for programs. */
  readonly programDirectories?: readonly string[];
}

/** What of a host has to be looked for. */
export type SteeringFacts = Pick<HostFacts, 'steeringPaths' | 'programDirectories'>;

export type ForbiddenPlace = 'engine-socket' | 'host-system' | 'whole-home' | 'credentials' | 'host-programs';

export interface ForbiddenPath {
  readonly place: ForbiddenPlace;
  /** The protected path that the judged one is, lies in or holds. */
  readonly path: string;
}

/** The system's own: neither these, nor what holds them, nor anything in them. */
const systemPaths =
  '/bin /boot /dev /efi /etc /gnu /lib /lib32 /lib64 /libx32 /nix /proc /run /sbin /snap /sys /usr /var/run /var/spool /var/lib/docker /var/lib/containerd /var/lib/containers /var/lib/flatpak /var/lib/snapd /var/lib/systemd /opt/homebrew /Applications /private/etc /private/var/run /System /Library'.split(
    ' ',
  );
/** Directories that hold the work of many, and are nobody's project. */
const sharedPaths = '/ /media /mnt /opt /srv /tmp /var /var/lib /var/tmp /private /private/tmp'.split(' ');
const wholeHome = /^(?:\/root|\/home|\/Users|\/(?:home|Users)\/[^/]+)$/;
const socketName = /(?:^|\/)(?:docker|containerd|podman|crio|buildkitd)[^/]*\.sock$/;

/** Secrets wherever they are: a path with such a part is refused. */
const credentialParts = [
  '.ssh',
  '.gnupg',
  '.aws',
  '.azure',
  '.kube',
  '.docker',
  '.netrc',
  '.git-credentials',
  '.npmrc',
  '.pypirc',
  '.pgpass',
  '.password-store',
  '.config/gcloud',
  '.config/gh',
];
/** Secrets below a home directory: these, what holds them, and anything in them. */
const credentialsOfHome = [
  ...credentialParts,
  '.config/git/credentials',
  '.config/google-chrome',
  '.config/chromium',
  '.config/BraveSoftware',
  '.config/microsoft-edge',
  '.mozilla',
  '.local/share/keyrings',
  '.local/share/opencode',
  '.cargo/credentials.toml',
  '.vault-token',
  'snap/firefox',
  'snap/chromium',
  'Library/Keychains',
  'Library/Cookies',
  'Library/Safari',
  'Library/Application Support/Google/Chrome',
  'Library/Application Support/Firefox',
];

/**
 * Decides whether what is at a path may come into a sandbox, mounted or copied. The one decision behind mounts, bind
 * workspaces and sources of workspaces. Pure, so the caller resolves links first, in the path and in the facts.
 *
 * @param path a real path, absolute and normal
 * @returns why not; undefined for a path that may be seen
 */
export function forbiddenHostPath(path: string, facts: HostFacts = {}): ForbiddenPath | undefined {
  const { userHomes = [], sockets = [], protectedPaths = [] } = facts;
  const homes = userHomes.filter((home) => home !== '/' && home !== '');
  const touches = (kept: string): boolean => isWithin(path, kept) || isWithin(kept, path);
  const found = (place: ForbiddenPlace, kept: string | undefined): ForbiddenPath | undefined =>
    kept === undefined ? undefined : { place, path: kept };
  return (
    found('engine-socket', socketName.test(path) ? path : sockets.find((socket) => isWithin(path, socket))) ??
    found('whole-home', wholeHome.test(path) ? path : homes.find((home) => home === path)) ??
    found('host-system', [...systemPaths, ...protectedPaths, ...sockets].find(touches)) ??
    found(
      'host-system',
      sharedPaths.find((shared) => shared === path),
    ) ??
    found(
      'whole-home',
      homes.find((home) => isWithin(home, path)),
    ) ??
    found('whole-home', isOthersRoot(path, homes) ? '/root' : undefined) ??
    found('credentials', credentialsAt(path, homes))
  );
}

/** True for a path that is a directory or lies in it; both absolute and normal. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith('/') ? directory : `${directory}/`);
}

function isOthersRoot(path: string, homes: readonly string[]): boolean {
  return isWithin(path, '/root') && !homes.some((home) => isWithin(path, home));
}

function credentialsAt(path: string, homes: readonly string[]): string | undefined {
  const part = credentialParts.find((name) => `${path}/`.includes(`/${name}/`));
  if (part !== undefined) return `${path.slice(0, `${path}/`.indexOf(`/${part}/`))}/${part}`;
  return homes
    .flatMap((home) => credentialsOfHome.map((name) => `${home}/${name}`))
    .find((kept) => isWithin(path, kept) || isWithin(kept, path));
}
