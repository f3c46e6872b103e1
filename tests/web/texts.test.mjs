import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { chooseTexts, english, text } from '../../web/js/texts.js'

const LOCALES = new URL('../../locales/', import.meta.url)
const read = (language, file) => JSON.parse(readFileSync(new URL(`${language}/${file}.json`, LOCALES)))
const languages = readdirSync(LOCALES)

/** Return the paths of all texts in a tree. */
function keys(tree, path = '') {
  if (typeof tree !== 'object') return [path]
  return Object.entries(tree).flatMap(([key, value]) => keys(value, `${path}/${key}`))
}

test('the English locale says what the code says', () => {
  assert.deepEqual(read('en', 'main').portraittalk, english)
})

test('every language has every text', () => {
  for (const language of languages) {
    for (const file of ['main', 'nodeDefs']) {
      assert.deepEqual(keys(read(language, file)), keys(read('en', file)), `${language}/${file}.json`)
    }
  }
})

test('a language is chosen by its name or the first part of it; English fills what is missing', () => {
  chooseTexts({ zh: { portraittalk: { play: '播放' } } }, 'zh-CN')
  assert.equal(text('play'), '播放')
  assert.equal(text('pause'), english.pause)
  chooseTexts({}, 'xx')
  assert.equal(text('play'), english.play)
})
