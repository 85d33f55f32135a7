/**
 * Gives a remote's address as it may enter a sandbox: user names, passwords and tokens removed; undefined for paths of
 * this host and anything that is no plain address.
 */
export function withoutCredentials(url: string): string | undefined {
  if (/^[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^:]+$/.test(url)) return url;
  if (!/^(?:https?|ssh|git):\/\//.test(url) || !URL.canParse(url)) return undefined;
  const parsed = new URL(url);
  parsed.password = '';
  if (parsed.protocol !== 'ssh:') parsed.username = '';
  parsed.search = '';
  parsed.hash = '';
  return parsed.href;
}
