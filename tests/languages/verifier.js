// Verifies requests as tests/languages/run says, with an npm package: verifier.js PACKAGE, and a list of {secret, headers,
// body} as JSON on standard input. Prints a list of what the package says of each: true, or why not.
//
// PACKAGE is standardwebhooks or svix, whose classes have the same form and know v1 alone, or node:crypto, which knows
// nothing of webhooks and verifies v1a.

const name = process.argv[2];

function byPackage({ secret, headers, body }) {
  const { Webhook } = require(name);
  new Webhook(secret).verify(body, headers);
}

function byCrypto({ secret, headers, body }) {
  const { createPublicKey, verify } = require("node:crypto");
  const pem = `-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA${secret.replace(/^whpk_/, "")}\n-----END PUBLIC KEY-----\n`;
  const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const given = headers["webhook-signature"].split(" ").filter(each => each.startsWith("v1a,"));
  if (!given.some(each => verify(null, signed, createPublicKey(pem), Buffer.from(each.slice(4), "base64")))) {
    throw new Error("No matching signature found");
  }
}

let text = "";
process.stdin.on("data", chunk => (text += chunk));
process.stdin.on("end", () => {
  const said = JSON.parse(text).map(request => {
    try {
      (name === "node:crypto" ? byCrypto : byPackage)(request);
      return true;
    } catch (error) {
      return error.message;
    }
  });
  console.log(JSON.stringify(said));
});
