/**
 * What runs in our pages: it asks the browser for a passkey by the options that the page holds, puts what comes of it into the form, and sends
 * that. It reads nothing else and calls nobody. The `toJSON` of browsers is younger than some that people have.
 */
export const PASSKEY_SCRIPT = `
const bytes = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
const text = (data) => btoa(String.fromCharCode(...new Uint8Array(data))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
const listed = (credentials) => (credentials ?? []).map((each) => ({ ...each, id: bytes(each.id) }))
const create = async (options) => {
  const { rawId, response } = await navigator.credentials.create({ publicKey: {
    ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: listed(options.excludeCredentials) } })
  return { id: text(rawId), response: { clientDataJSON: text(response.clientDataJSON),
    attestationObject: text(response.attestationObject), transports: response.getTransports?.() ?? [] } }
}
const get = async (options) => {
  const { rawId, response } = await navigator.credentials.get({ publicKey: {
    ...options, challenge: bytes(options.challenge), allowCredentials: listed(options.allowCredentials) } })
  return { id: text(rawId), response: { clientDataJSON: text(response.clientDataJSON),
    authenticatorData: text(response.authenticatorData), signature: text(response.signature) } }
}
const sha256 = async (of) => new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(of)))
const hex = (of) => [...of].map((each) => each.toString(16).padStart(2, '0')).join('')
for (const form of document.querySelectorAll('form[data-passkey]')) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const said = form.querySelector('output')
    try {
      const options = JSON.parse(form.dataset.options)
      const { passkey, agreeing } = form.dataset
      const made = passkey === 'create' ? await create(options) : await get(options)
      if (agreeing) {
        const what = 'reeve passkey.add 1\\n' + form.elements.ceremony.value + '\\n' + hex(await sha256(made.response.attestationObject))
        const agreed = { ...JSON.parse(agreeing), challenge: text(await sha256(what)) }
        form.elements.agreement.value = JSON.stringify(await get(agreed))
      }
      form.elements.response.value = JSON.stringify(made)
      form.submit()
    } catch (error) {
      said.textContent = 'The browser gave no passkey: ' + error.name
    }
  })
}
`
