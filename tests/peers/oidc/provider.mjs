// A real OpenID Connect provider over TLS, which can be told to go wrong: node provider.mjs CERT KEY REDIRECT [ALG]
// It prints its issuer, and then what it does; a line on standard input changes how it goes wrong.
import { createServer } from 'node:https';
import { createPrivateKey, constants, generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const [cert, key, redirect, alg = 'RS256'] = process.argv.slice(2);

const jwk = (kid, algorithm) => {
  const pair = algorithm === 'ES256'
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...pair.privateKey.export({ format: 'jwk' }), kid, alg: algorithm, use: 'sig' };
};
const keys = [jwk('first', alg)];
const rotated = jwk('second', alg);
let wrong = 'nothing';

const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) });
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `https://127.0.0.1:${server.address().port}`;

const people = {
  wang: { preferred_username: '王老师', groups: ['teachers', 'school-guards'] },
  it: { preferred_username: 'it', groups: ['school-guards', 'school-it'] },
  visitor: { preferred_username: 'visitor', groups: ['teachers'] },
  nameless: { groups: ['school-guards'] },
};

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'schoolgate',
    client_secret: 'hunter2-oidc',
    redirect_uris: [redirect],
    id_token_signed_response_alg: alg,
  }],
  jwks: { keys },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256'] },
  pkce: { required: () => true },
  conformIdTokenClaims: false,
  claims: { openid: ['sub', 'groups', 'preferred_username'], profile: ['name'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  cookies: { keys: ['for these tests alone'] },
});

const b64 = (value) => Buffer.from(value).toString('base64url');

// The token as somebody with the key would forge it.
function forged(token) {
  const [head, claims] = token.split('.').slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')));
  let signer = keys[0];
  const now = Math.floor(Date.now() / 1000);
  if (wrong === 'nonce') claims.nonce = 'of-another-sign-in';
  if (wrong === 'expired') Object.assign(claims, { iat: now - 900, exp: now - 300 });
  if (wrong === 'audience') claims.aud = 'another-client';
  if (wrong === 'issuer') claims.iss = 'https://evil.example';
  if (wrong === 'stranger') signer = { ...rotated, kid: 'first' };
  if (wrong === 'rotated') signer = rotated;
  if (wrong === 'none') return `${b64(JSON.stringify({ alg: 'none' }))}.${b64(JSON.stringify(claims))}.`;
  head.kid = signer.kid;
  const text = `${b64(JSON.stringify(head))}.${b64(JSON.stringify(claims))}`;
  const form = { ES256: { dsaEncoding: 'ieee-p1363' }, PS256: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } };
  const signature = sign('sha256', Buffer.from(text), { key: createPrivateKey({ key: signer, format: 'jwk' }), ...form[alg] });
  return `${text}.${b64(signature)}`;
}

provider.use(async (ctx, next) => {
  await next();
  if (ctx.path === '/jwks') {
    console.log('keys were asked for');
    const { d, p, q, dp, dq, qi, ...open } = rotated;
    if (wrong === 'rotated') ctx.body = { keys: [open] };
  }
  if (ctx.path === '/token' && ctx.body?.id_token && wrong !== 'nothing') ctx.body.id_token = forged(ctx.body.id_token);
});

server.on('request', provider.callback());
createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'down') process.exit();
  wrong = line;
  console.log(`goes wrong: ${line}`);
}).on('close', () => process.exit());
console.log(issuer);
