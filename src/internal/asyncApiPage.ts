import { type PageConfig, script } from "./asyncApiScript.ts"

const STYLE = `
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
section{border-top:1px solid #8888;margin-top:2rem}
nav a{margin-right:1rem}
pre,textarea,.log{font:13px/1.4 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
pre{background:#8881;padding:.5rem;margin:.25rem 0}
pre i{color:#777;font-style:normal}
textarea{box-sizing:border-box;width:100%}
summary{cursor:pointer}
details{border-left:3px solid #48f;padding-left:.75rem;margin:.5rem 0}
details.send{border-color:#3a5}
small{font-size:12px;background:#8883;padding:0 .4em;border-radius:.5em;font-weight:normal}
h4{margin:.5rem 0 0}
.text{white-space:pre-line}
.text:empty,.result:empty{display:none}
.old{text-decoration:line-through}
button{margin:.25rem .5rem .25rem 0}
label{display:block}
.log{max-height:20rem;overflow:auto}`

const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** The text of the script, without its comments and without the space that types have taken. */
const code = (): string => {
  const text = String(script)
    .replaceAll(/^ *\/[/*].*\n/gm, "")
    .replaceAll(/^ +/gm, "")
    .replaceAll(/ {3,}/g, " ")
  // Tools that keep the names of functions put calls of `__name` into it.
  return `const __name=(f)=>f;(${text})().catch((error)=>{document.getElementById("main").textContent=String(error)})`
}

const hash = async (text: string): Promise<string> => {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))
  return `'sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}'`
}

export interface Page {
  readonly html: string
  /**
   * The value of its `Content-Security-Policy`: nothing but its own script, and the client, runs.
   */
  readonly policy: string
}

/** Returns the page that shows a document. */
export const makePage = async (title: string, config: PageConfig): Promise<Page> => {
  const text = code()
  const client = URL.canParse(config.client) ? ` ${new URL(config.client).origin}` : ""
  return {
    // "<" cannot end the element of the configuration.
    html: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<main id="main"></main>
<script type="application/json" id="config">${JSON.stringify(config).replaceAll("<", "\\u003c")}</script>
<script type="module">${text}</script>
</body>
</html>
`,
    policy: [
      "default-src 'none'",
      `script-src 'self' ${await hash(text)}${client}`,
      `style-src ${await hash(STYLE)}`,
      "connect-src * ws: wss:",
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'"
    ].join("; ")
  }
}
