/* tests/ops/text: operators on strings, and TfIdfVectorizer. */
#include "op_test.h"

static const op_case normalizer_cases[] = {
    {"StringNormalizer", 10, "", {"string[2] Ab cD"}, {"string[2] Ab cD"}},
    {"StringNormalizer", 10, "case_change_action='UPPER'", {"string[1x2] straße 'a b'"}, {"string[1x2] STRASSE 'A B'"}},
    {"StringNormalizer",
     10,
     "case_change_action='LOWER' stopwords=['MON']",
     {"string[3] Mon TUE É"},
     {"string[2] tue é"}},
    {"StringNormalizer", 10, "is_case_sensitive=1 stopwords=['mon']", {"string[2] Mon mon"}, {"string[1] Mon"}},
    {"StringNormalizer", 10, "is_case_sensitive=1 stopwords=['a','b']", {"string[1x2] a b"}, {"string[1x1] ''"}},
    {"StringNormalizer", 10, "", {"string[0]"}, {"string[1] ''"}},
    {"StringNormalizer", 10, "", {"string[2x1] a b"}, {"error shape"}},
    {"StringNormalizer", 10, "", {"f32[1] 1"}, {"error shape"}},
    {"StringNormalizer", 10, "case_change_action='Title'", {"string[1] a"}, {"error format"}},
};

static const op_case string_cases[] = {
    {"StringConcat", 20, "", {"string[2] a ''", "string[2] b c"}, {"string[2] ab c"}},
    {"StringConcat", 20, "", {"string[2x1] a b", "string[2] x y"}, {"string[2x2] ax ay bx by"}},
    {"StringConcat", 20, "", {"string[] ''", "string[] ''"}, {"string[] ''"}},
    {"StringConcat", 20, "", {"string[0] ", "string[1] a"}, {"string[0]"}},
    {"StringConcat", 20, "", {"string[2] a b", "string[3] a b c"}, {"error shape"}},
    {"StringSplit", 20, "delimiter='.'", {"string[2] a.b.c x"}, {"string[2x3] a b c x '' ''", "i64[2] 3 1"}},
    {"StringSplit", 20, "delimiter='--' maxsplit=1", {"string[1] a--b--c"}, {"string[1x2] a b--c", "i64[1] 2"}},
    {"StringSplit", 20, "", {"string[] '  a \t b  '"}, {"string[2] a b", "i64[] 2"}},
    {"StringSplit", 20, "maxsplit=1", {"string[1] ' a  b  c '"}, {"string[1x2] a 'b  c '", "i64[1] 2"}},
    {"StringSplit", 20, "delimiter=''", {"string[1] a\u00a0b\u3000c"}, {"string[1x3] a b c", "i64[1] 3"}},
    {"StringSplit", 20, "", {"string[2] '' ' '"}, {"string[2x0]", "i64[2] 0 0"}},
    {"StringSplit", 20, "delimiter=','", {"string[1] ''"}, {"string[1x1] ''", "i64[1] 1"}},
    {"StringSplit", 20, "delimiter=','", {"string[1] ,a,"}, {"string[1x3] '' a ''", "i64[1] 3"}},
    {"StringSplit", 20, "maxsplit=0", {"string[1] 'a b'"}, {"string[1x1] 'a b'", "-"}},
    {"StringSplit", 20, "", {"string[0x2]"}, {"string[0x2x0]", "i64[0x2]"}},
    {"RegexFullMatch", 20, "pattern='a+b?'", {"string[4] aab a ba aabb"}, {"bool[4] 1 1 0 0"}},
    {"RegexFullMatch", 20, "pattern=''", {"string[2] '' a"}, {"bool[2] 1 0"}},
    {"RegexFullMatch", 20, "pattern='(a'", {"string[1] a"}, {"error"}},
    {"RegexFullMatch", 20, "pattern='a'", {"i64[1] 1"}, {"error shape"}},
};

#define GRAMS "ngram_counts=[0,4] ngram_indexes=[0,1,2,3,4,5,6] pool_int64s=[2,3,5,4,5,6,7,8,6,7] "
static const op_case tfidf_cases[] = {
    {"TfIdfVectorizer",
     9,
     GRAMS "mode='TF' min_gram_length=1 max_gram_length=2 max_skip_count=5",
     {"i32[12] 1 1 3 3 3 7 8 6 7 5 6 8"},
     {"f32[7] 0 3 1 0 1 3 1"}},
    {"TfIdfVectorizer",
     9,
     GRAMS "mode='IDF' min_gram_length=1 max_gram_length=1 max_skip_count=0 weights=[1.0,2.0,3.0,4.0,5.0,6.0,7.0]",
     {"i64[2x2] 3 3 2 4"},
     {"f32[2x7] 0 2 0 0 0 0 0 1 0 0 4 0 0 0"}},
    {"TfIdfVectorizer",
     9,
     GRAMS "mode='TFIDF' min_gram_length=1 max_gram_length=1 max_skip_count=0 weights=[1.0,2.0,3.0,4.0,5.0,6.0,7.0]",
     {"i64[2] 3 3"},
     {"f32[7] 0 4 0 0 0 0 0"}},
    {"TfIdfVectorizer",
     9,
     "ngram_counts=[0,2,2] ngram_indexes=[1,0,2] pool_strings=['a','b','a','b','a'] mode='TF' min_gram_length=1 "
     "max_gram_length=3 max_skip_count=1",
     {"string[5] a x b x a"},
     {"f32[3] 1 2 1"}}, /* column 0 is "b", 1 is "a", 2 is "a b a" with one left out between */
    {"TfIdfVectorizer",
     9,
     GRAMS "mode='TF' min_gram_length=2 max_gram_length=2 max_skip_count=9223372036854775807",
     {"i64[0]"},
     {"f32[7] 0 0 0 0 0 0 0"}},
    {"TfIdfVectorizer",
     9,
     GRAMS "mode='TF' min_gram_length=2 max_gram_length=2 max_skip_count=0",
     {"i64[0x2]"},
     {"f32[0x7]"}},
    {"TfIdfVectorizer",
     9,
     GRAMS "mode='TF' min_gram_length=0 max_gram_length=2 max_skip_count=0",
     {"i64[1] 1"},
     {"error format"}},
    {"TfIdfVectorizer",
     9,
     GRAMS "mode='XX' min_gram_length=1 max_gram_length=2 max_skip_count=0",
     {"i64[1] 1"},
     {"error format"}},
    {"TfIdfVectorizer",
     9,
     GRAMS "mode='TF' min_gram_length=1 max_gram_length=2 max_skip_count=0",
     {"string[1] a"},
     {"error shape"}},
    {"TfIdfVectorizer",
     9,
     "ngram_counts=[0,9] ngram_indexes=[0] pool_int64s=[1] mode='TF' min_gram_length=1 max_gram_length=2 "
     "max_skip_count=0",
     {"i64[1] 1"},
     {"error format"}},
    {"TfIdfVectorizer",
     9,
     "ngram_counts=[0] ngram_indexes=[0] pool_int64s=[1,2] mode='TF' min_gram_length=1 max_gram_length=2 "
     "max_skip_count=0",
     {"i64[1] 1"},
     {"error format"}},
    {"TfIdfVectorizer",
     9,
     "ngram_counts=[0] ngram_indexes=[-1] pool_int64s=[1] mode='TF' min_gram_length=1 max_gram_length=2 "
     "max_skip_count=0",
     {"i64[1] 1"},
     {"error format"}},
};

#define TEST(name) \
  static void test_##name(void) { op_test_cases(name##_cases, sizeof name##_cases / sizeof *name##_cases); }
TEST(normalizer)
TEST(string)
TEST(tfidf)

TEST_MAIN({"normalizer", test_normalizer}, {"string", test_string}, {"tfidf", test_tfidf})
