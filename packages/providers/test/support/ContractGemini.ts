/** Google Gemini, held to the contract. The wire is written after the API reference. */
import { Gemini } from "@echelon/providers"
import * as GeminiLift from "@echelon/providers/GeminiLift"
import { type Contract, no, type Reply } from "./ProtocolContract.ts"

const head = { responseId: "r", modelVersion: "gemini-2.5-flash-001" }

interface Options {
  readonly reason?: string
  readonly candidate?: object
  readonly more?: object
}

/** A response of parts, and the stream of them. */
const reply = (
  parts: ReadonlyArray<object>,
  { candidate = {}, more = {}, reason = "STOP" }: Options = {},
  pieces: ReadonlyArray<object> = parts
): Reply => ({
  buffered: {
    ...head,
    candidates: [{ index: 0, content: { role: "model", parts }, finishReason: reason, ...candidate }],
    ...more
  },
  streamed: [
    ...pieces.map((part) => ({ ...head, candidates: [{ index: 0, content: { role: "model", parts: [part] } }] })),
    { ...head, candidates: [{ index: 0, finishReason: reason, ...candidate }], ...more }
  ]
})

const said = (text: string, options: Options = {}): Reply =>
  reply([{ text }], options, [{ text: text.slice(0, 2) }, { text: text.slice(2) }])

const thought = { text: "Let me think.", thought: true }
const pieces = [
  { text: "Let me ", thought: true },
  { text: "think.", thought: true }
]
const call = (city: string, more: object = {}) => ({ functionCall: { name: "weather", args: { city } }, ...more })
const calls = reply([call("Oslo", { thoughtSignature: "c2ln" }), call("Turin")])

const usageMetadata = {
  promptTokenCount: 100,
  candidatesTokenCount: 12,
  thoughtsTokenCount: 8,
  cachedContentTokenCount: 60,
  totalTokenCount: 120
}
const usage = said("Done.", { more: { usageMetadata } })
const logprobsResult = { chosenCandidates: [{ token: "Yes", logProbability: -0.25 }] }
const groundingMetadata = { groundingChunks: [{ web: { uri: "https://a.test/page", title: "A page" } }] }
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
const response = (output: object) => ({ functionResponse: { name: "weather", response: output } })
const raw = {
  contents: [{ role: "user", parts: [{ text: "Hi", neverHeard: 1 }], neverHeard: 2 }],
  tools: [{ neverHeard: {} }],
  generationConfig: { temperature: 0, neverHeard: [] },
  neverHeard: { of: null }
}

export const contract: Contract = {
  title: "Google Gemini",
  kind: "gemini",
  protocol: Gemini.protocol,
  options: { model: "gemini-3-flash-preview" },
  lift: GeminiLift.lift,
  replies: {
    text: said("Grüße, 世界 👋"),
    reasoning: reply([thought, { text: "Done." }], {}, [...pieces, { text: "Done." }]),
    signature: {
      ...reply([
        { ...thought, thoughtSignature: "c2ln" },
        { text: "Done.", thoughtSignature: "dHdv" }
      ]),
      next: [
        {
          role: "model",
          parts: [
            { ...thought, thoughtSignature: "c2ln" },
            { text: "Done.", thoughtSignature: "dHdv" }
          ]
        }
      ]
    },
    encrypted: no("the protocol gives none: a signature stands for what is not shown"),
    calls,
    deltas: no(
      "arguments come whole, or as values at JSON paths, which are no text of JSON: a call is given when it is whole"
    ),
    logprobs: { ...said("Yes", { candidate: { logprobsResult } }), carried: [{ token: "Yes", logProbability: -0.25 }] },
    refusal: { ...said("I cannot help.", { reason: "SAFETY" }), carried: [{ finishReason: "SAFETY" }] },
    citations: {
      ...said("Done.", { candidate: { groundingMetadata } }),
      carried: [{ web: { uri: "https://a.test/page" } }]
    },
    usage,
    cacheRead: usage,
    cacheWrite: no("what is written to the cache by itself is not reported"),
    reasoningTokens: usage,
    tierReply: {
      ...said("Done.", { more: { usageMetadata: { ...usageMetadata, trafficType: "ON_DEMAND" } } }),
      carried: [{ trafficType: "ON_DEMAND" }]
    },
    unknownReason: { ...said("Done.", { reason: "BORED" }), carried: [{ finishReason: "BORED" }] },
    unknownField: {
      ...reply([{ text: "Done.", strange: 1 }], { candidate: { stranger: [2] }, more: { neverHeard: { of: [3] } } }),
      carried: [{ strange: 1 }, { stranger: [2] }, { neverHeard: { of: [3] } }]
    },
    unknownPart: { ...reply([{ hologram: { of: 1 } }, { text: "Done." }]), carried: [{ hologram: { of: 1 } }] },
    unknownEvent: {
      buffered: no("a buffered reply has no events"),
      streamed: [{ weatherReport: [1] }, ...(said("Done.").streamed as ReadonlyArray<unknown>)],
      carried: [{ weatherReport: [1] }]
    },
    failure: {
      buffered: { error: { code: 503, status: "UNAVAILABLE", message: "The model is overloaded" } },
      streamed: [
        { candidates: [{ content: { parts: [{ text: "Don" }] } }] },
        { error: { code: 503, status: "UNAVAILABLE", message: "The model is overloaded" } }
      ]
    },
    cutOff: {
      buffered: no("a buffered reply that breaks off is no JSON"),
      streamed: [{ candidates: [{ content: { role: "model", parts: [{ text: "Don" }] } }] }]
    }
  },
  reasons: {
    reply: (finishReason) => said("Done.", { reason: finishReason }),
    meaning: {
      STOP: "stop",
      MAX_TOKENS: "length",
      SAFETY: "content-filter",
      RECITATION: "content-filter",
      BLOCKLIST: "content-filter",
      PROHIBITED_CONTENT: "content-filter",
      SPII: "content-filter",
      FINISH_REASON_UNSPECIFIED: "unknown"
    }
  },
  requests: {
    effort: { wire: { generationConfig: { thinkingConfig: { thinkingLevel: "low", includeThoughts: true } } } },
    system: { wire: { systemInstruction: { parts: [{ text: "Be brief" }] }, contents: [{ role: "user" }] } },
    images: {
      wire: {
        contents: [{ parts: [{ text: "Look" }, { inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } }] }]
      }
    },
    imageLinks: {
      wire: {
        contents: [
          { parts: [{ text: "Look" }, { fileData: { mimeType: "image/png", fileUri: "https://a.test/i.png" } }] }
        ]
      }
    },
    files: {
      wire: {
        contents: [
          {
            parts: [{ text: "Look" }, { inlineData: { mimeType: "application/pdf", data: "JVBERi0xLjc=" } }]
          }
        ]
      }
    },
    fileLinks: {
      wire: {
        contents: [
          {
            parts: [{ text: "Look" }, { fileData: { mimeType: "application/pdf", fileUri: "https://a.test/d.pdf" } }]
          }
        ]
      }
    },
    tools: {
      wire: {
        tools: [{ functionDeclarations: [{ name: "weather", description: "Tells it", parametersJsonSchema: schema }] }]
      }
    },
    oneCall: no("several calls at a time are what the model does by itself", "settings.parallelToolCalls"),
    results: {
      wire: {
        contents: [
          { role: "user" },
          { role: "model", parts: [call("Oslo"), call("Turin")] },
          { role: "user", parts: [response({ output: "sunny" }), response({ output: "rain" })] }
        ]
      }
    },
    failedResults: {
      wire: { contents: [{ role: "user" }, { role: "model" }, { parts: [response({ error: "no station" })] }] }
    },
    resultImages: {
      wire: {
        contents: [
          { role: "user" },
          { role: "model" },
          {
            parts: [
              {
                functionResponse: {
                  response: { output: "sunny" },
                  parts: [{ inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } }]
                }
              }
            ]
          }
        ]
      }
    },
    format: { wire: { generationConfig: { responseMimeType: "application/json", responseJsonSchema: schema } } },
    stop: { wire: { generationConfig: { stopSequences: ["5", "END"] } } },
    seed: { wire: { generationConfig: { seed: 7 } } },
    askLogprobs: {
      own: { generationConfig: { responseLogprobs: true, logprobs: 2 } },
      wire: { generationConfig: { responseLogprobs: true, logprobs: 2 } }
    },
    marks: no("the protocol has none: prefixes are cached by themselves, and `cachedContent` is an own option"),
    tier: { own: { serviceTier: "flex" }, wire: { serviceTier: "flex" } }
  },
  choices: {
    auto: { toolConfig: { functionCallingConfig: { mode: "AUTO" } } },
    none: { toolConfig: { functionCallingConfig: { mode: "NONE" } } },
    required: { toolConfig: { functionCallingConfig: { mode: "ANY" } } },
    named: { toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["weather"] } } }
  },
  raw: { body: raw, sent: raw },
  wrong: {
    body: { contents: [{ role: "model", parts: [{ functionCall: { args: {} } }] }] },
    path: "contents[0].parts[0].functionCall.name"
  }
}
