import * as KeyLike from "@echelon/config/KeyLike"
import { expect, it } from "@effect/vitest"

it.each([
  "sk-planted-1",
  "sk-ant-api03-AbC_9",
  "gsk_AbCdEf123",
  "hf_AbCdEf123456789012",
  "AIzaSyA1234567890abcdefghij",
  "AKIAIOSFODNN7EXAMPLE",
  "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
  "0123456789abcdef0123456789abcdef"
])("%s looks like a key", (key) => {
  expect(KeyLike.hide(`found "${key}", here`)).toBe('found "***", here')
})

it.each([
  "openai-gpt4",
  "claude-3-opus-20240229",
  "fw_fallback_group",
  "task-group-1",
  "meta-llama/Llama-3.3-70B-Instruct-Turbo",
  "ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT",
  "max_instance_attempts",
  "0b6ac1f2-6f0e-4d7f-9d51-3f1f0c6f2a11"
])("%s does not", (name) => {
  expect(KeyLike.hide(name)).toBe(name)
})
