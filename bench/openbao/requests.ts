/** A request as it goes over the wire. */
export function requestOf(method: 'GET' | 'POST', path: string, headers: Record<string, string>, body = ''): string {
  const head = Object.entries({ host: 'localhost', ...headers, 'content-length': String(Buffer.byteLength(body)) })
  return [`${method} ${path} HTTP/1.1`, ...head.map(([name, value]) => `${name}: ${value}`), '', body].join('\r\n')
}
