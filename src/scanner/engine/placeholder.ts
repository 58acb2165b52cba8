/** What stands where a secret would: a word that says so, a variable, a mask. In any case of letters. */
const SAYS_SO =
  /example|change.?me|placeholder|your[-_ ]|yourtoken|x{5}|\*{3}|•|\.{3}|…|redacted|masked|dummy|fixme|insert.?here|replace.?(?:me|this|with)|not.?a.?real|deadbeef|abcdefghij|0123456789|1234567890|lorem/i

/** How many digits of one kind in a row no generator gives. */
const SAME = /(.)\1{6}/

/** Formats begin with runs of their own; what is random comes last. */
const TAIL = 24

/** Distinct characters in proportion: random text of 16 and more from 16 letters has at least this many. */
const FEWEST_DISTINCT = 6

/** Whether a text of a known format is only there to show the format. */
export function isShown(secret: string): boolean {
  if (secret.length > 400) return false
  if (SAYS_SO.test(secret) || SAME.test(secret.slice(-TAIL))) return true
  return secret.length >= 16 && hasFewKinds(secret)
}

function hasFewKinds(secret: string): boolean {
  let seen = ''
  for (let at = 0; at < secret.length && seen.length < FEWEST_DISTINCT; at += 1) {
    const character = secret.charAt(at)
    if (!seen.includes(character)) seen += character
  }
  return seen.length < FEWEST_DISTINCT
}

/** What a program reads at run time, in the ways that templates, shells and languages write it; and what a vault or a tool has encrypted. */
const IS_REFERENCE =
  /^(?:[$%@<{!&]|ENC[([]|\{\{|enc:|vault:|ref\+|arn:|ssm:|op:\/\/|secret:\/\/|projects\/|kv\/|process\.|os\.|env[.:(]|getenv|secrets\.|var\.|local\.|data\.|module\.|config[.[(]|settings\.|self\.|this\.|params?\.|args\.|options?\.|ctx\.|req(?:uest)?\.|file\(|sha\d{1,3}[:-]|md5[:-]|pbkdf2|argon2|bcrypt|scrypt)|[{(<]\w|\$\{|#\{|%\(|%s\b|\w\($/i

/** Passwords that everybody knows, and names of parts. */
const COMMON = new Set(
  `password passwd pass secret token admin administrator root user username guest test testing tester default demo postgres mysql redis mongo
  mongodb mariadb oracle rabbit rabbitmq sa public private none null nil undefined true false empty string str text value key apikey pwd
  password1 password123 passw0rd p@ssw0rd admin123 root123 test123 test1234 letmein qwerty secret123 foobar foo bar baz hunter2 12345678 123456
  12345 abc123 required optional hidden basic bearer login anonymous localhost service app web api client server hello world
  supersecret mysecret mypassword mytoken somepassword somesecret sometoken topsecret`.split(/\s+/),
)

/** Nobody writes a mark or a variable that long, and in so many random characters any short word turns up. */
const LONGEST_MARK = 200

/** Whether the value of something with a secret-like name is nothing to hide. */
export function isNoSecret(value: string): boolean {
  if (value.length > LONGEST_MARK) return isShown(value)
  const saysSo = /(?:^|[^A-Za-z])(?:fake|todo|tbd)(?:[^A-Za-z]|$)/i.test(value)
  return saysSo || isShown(value) || IS_REFERENCE.test(value) || COMMON.has(value.toLowerCase())
}
