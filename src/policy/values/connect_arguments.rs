//! What a Spark Connect server is started with, read from the arguments of its container.
//!
//! Operator 2.4.0 makes them one string for `bash -c`: `${SPARK_HOME}/sbin/start-connect-server.sh --master ... --conf key=value ...`,
//! with the values unquoted and one of them a command substitution (`spark.driver.host=$(host=${POD_IP}; ...)`); later ones quote
//! the values. So words are split as bash does, as far as the text alone tells: quotes and backslashes are taken away,
//! `$(...)`, `${...}`, `$name` and backticks stay as they are written, nothing is expanded. Options are read as spark-submit reads them
//! (`SparkSubmitOptionParser`).

use std::collections::BTreeMap;

/// The options of spark-submit that take a value (`SparkSubmitOptionParser.opts`), but for `--conf`.
const OPTIONS_WITH_VALUE: [&str; 31] = [
    "--archives",
    "--class",
    "--deploy-mode",
    "--driver-class-path",
    "--driver-cores",
    "--driver-java-options",
    "--driver-library-path",
    "--driver-memory",
    "--exclude-packages",
    "--executor-cores",
    "--executor-memory",
    "--files",
    "--jars",
    "--keytab",
    "--kill",
    "--kubernetes-master",
    "--kubernetes-namespace",
    "--master",
    "--name",
    "--num-executors",
    "--packages",
    "--principal",
    "--properties-file",
    "--proxy-user",
    "--py-files",
    "--queue",
    "--repositories",
    "--status",
    "--total-executor-cores",
    "--upload-driver-extra-classpath",
    "--upload-jars",
];

/// The options and the configuration of a Connect server's command line. What `spark-defaults.conf` or a properties file adds is not
/// known here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectArguments {
    conf: BTreeMap<String, String>,
    options: BTreeMap<&'static str, String>,
}

impl ConnectArguments {
    /// Reads the string that `bash -c` is given.
    ///
    /// Of several commands the one that starts the server is read, the first where none is known to. Whatever bash would refuse
    /// (a quote without its other half) goes to the end of the text.
    #[must_use]
    pub fn parse(script: &str) -> Self {
        let mut commands = Commands::of(script);
        let server = commands.iter().position(|words| words.iter().any(|word| starts_a_server(word)));
        let words = if commands.is_empty() { Vec::new() } else { commands.swap_remove(server.unwrap_or(0)) };
        Self::from_words(words)
    }

    /// Reads the `args` of a container; several are joined with a blank.
    #[must_use]
    pub fn from_args<'a>(args: impl IntoIterator<Item = &'a str>) -> Self {
        let mut args = args.into_iter();
        let first = args.next().unwrap_or_default();
        match args.next() {
            None => Self::parse(first),
            Some(second) => {
                let joined = args.fold(format!("{first} {second}"), |joined, arg| joined + " " + arg);
                Self::parse(&joined)
            }
        }
    }

    fn from_words(words: Vec<String>) -> Self {
        let mut arguments = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            // `--option=value`, but not `-c=value` (SparkSubmitOptionParser.parse).
            let (name, value) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") && !value.is_empty() => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            if matches!(name, "--conf" | "-c") {
                if let Some((key, value)) =
                    value.or_else(|| words.next()).as_deref().and_then(|pair| pair.split_once('='))
                {
                    arguments.conf.insert(key.to_owned(), value.to_owned());
                }
            } else if let Some(option) = OPTIONS_WITH_VALUE.into_iter().find(|option| *option == name)
                && let Some(value) = value.or_else(|| words.next())
            {
                arguments.options.insert(option, value);
            }
        }
        arguments
    }

    /// The value that `--conf` gives a key; the last one wins, as in spark-submit.
    #[must_use]
    pub fn conf(&self, key: &str) -> Option<&str> {
        self.conf.get(key).map(String::as_str)
    }

    /// The value of an option by its long name, `--repositories`; the last one wins. `--conf` is not one: see [`Self::conf`].
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// The list of packages that counts: that of `--packages`, else that of `spark.jars.packages`, which is dropped where both are.
    #[must_use]
    pub fn packages(&self) -> Option<&str> {
        self.option("--packages").or_else(|| self.conf("spark.jars.packages"))
    }

    /// The list of jars that counts: that of `--jars`, else that of `spark.jars`.
    #[must_use]
    pub fn jars(&self) -> Option<&str> {
        self.option("--jars").or_else(|| self.conf("spark.jars"))
    }

    /// The properties file, which is read in place of `conf/spark-defaults.conf`.
    #[must_use]
    pub fn properties_file(&self) -> Option<&str> {
        self.option("--properties-file")
    }
}

/// Spark's own script, spark-submit, and the server's class.
fn starts_a_server(word: &str) -> bool {
    word.ends_with("start-connect-server.sh")
        || word.ends_with("spark-submit")
        || word == "org.apache.spark.sql.connect.service.SparkConnectServer"
}

/// Splits a script into the words of its commands.
#[derive(Default)]
struct Commands {
    finished: Vec<Vec<String>>,
    words: Vec<String>,
    /// `Some` as soon as a word has begun: `''` is a word too.
    word: Option<String>,
}

impl Commands {
    fn of(script: &str) -> Vec<Vec<String>> {
        let mut commands = Self::default();
        let mut rest = script;
        while !rest.is_empty() {
            let read = commands.read(rest);
            rest = rest.get(read..).unwrap_or_default();
        }
        commands.end_command();
        commands.finished
    }

    /// Reads what stands at the beginning of `rest`, and says how many bytes that was: at least one.
    fn read(&mut self, rest: &str) -> usize {
        let mut characters = rest.chars();
        let Some(first) = characters.next() else { return 1 };
        let behind = characters.as_str();
        match first {
            ' ' | '\t' => self.end_word(),
            '&' if self.is_redirection(behind) => self.word().push(first),
            '\n' | ';' | '|' | '&' => self.end_command(),
            '#' if self.word.is_none() => return rest.find('\n').unwrap_or(rest.len()),
            '\'' => {
                let quoted = behind.split('\'').next().unwrap_or(behind);
                self.word().push_str(quoted);
                return quoted.len() + 2;
            }
            '"' => return 1 + read_double_quoted(behind, self.word()),
            '\\' => {
                let Some(escaped) = characters.next() else { return 1 };
                if escaped != '\n' {
                    self.word().push(escaped);
                }
                return 1 + escaped.len_utf8();
            }
            '$' | '`' => return copy_substitution(rest, self.word()),
            other => self.word().push(other),
        }
        first.len_utf8()
    }

    /// Whether an `&` belongs to `2>&1` or `&>file`.
    fn is_redirection(&self, behind: &str) -> bool {
        behind.starts_with('>') || self.word.as_deref().is_some_and(|word| word.ends_with('>'))
    }

    fn word(&mut self) -> &mut String {
        self.word.get_or_insert_default()
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end_command(&mut self) {
        self.end_word();
        if !self.words.is_empty() {
            self.finished.push(std::mem::take(&mut self.words));
        }
    }
}

/// Reads up to the closing quote, and says how many bytes that was, the quote included.
fn read_double_quoted(text: &str, word: &mut String) -> usize {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let mut characters = rest.chars();
        match (characters.next(), characters.next()) {
            (Some('"'), _) => return at + 1,
            (Some('\\'), Some('\n')) => at += 2,
            (Some('\\'), Some(escaped @ ('$' | '`' | '"' | '\\'))) => {
                word.push(escaped);
                at += 2;
            }
            (Some('$' | '`'), _) => at += copy_substitution(rest, word),
            (first, _) => {
                let first = first.unwrap_or_default();
                word.push(first);
                at += first.len_utf8();
            }
        }
    }
    text.len()
}

/// Copies what `$` or a backtick begins as it is written, and says how many bytes that was.
fn copy_substitution(text: &str, word: &mut String) -> usize {
    let substitution = substitution_length(text.as_bytes()).and_then(|length| text.get(..length)).unwrap_or(text);
    word.push_str(substitution);
    substitution.len()
}

/// How long the `$(...)`, `${...}` or backticks at the beginning are, 1 for any other `$`; nothing where the end is missing.
///
/// What is open is kept in a list and not on the call stack, which a hostile text could exhaust.
pub(super) fn substitution_length(text: &[u8]) -> Option<usize> {
    let (mut open, mut at) = match text {
        [b'$', b'(', ..] => (vec![b')'], 2),
        [b'$', b'{', ..] => (vec![b'}'], 2),
        [b'`', ..] => (vec![b'`'], 1),
        _ => return Some(1),
    };
    while let (Some(&byte), Some(&end)) = (text.get(at), open.last()) {
        at += 1;
        match byte {
            _ if byte == end => {
                open.pop();
                if open.is_empty() {
                    return Some(at);
                }
            }
            b'\\' => at += 1,
            b'\'' if end != b'"' => {
                let quoted = text.iter().skip(at).take_while(|byte| **byte != b'\'').count();
                at += quoted + 1;
            }
            b'"' | b'`' => open.push(byte),
            b'(' if end == b')' => open.push(b')'),
            b'$' if text.get(at) == Some(&b'(') => {
                open.push(b')');
                at += 1;
            }
            b'$' if text.get(at) == Some(&b'{') => {
                open.push(b'}');
                at += 1;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As operator 2.4.0 writes it.
    const OPERATOR: &str = "${SPARK_HOME}/sbin/start-connect-server.sh --master k8s://https://10.96.0.1:443 \
        --conf spark.kubernetes.namespace=jobs --conf spark.kubernetes.container.image=apache/spark:3.5.7 \
        --conf spark.jars.packages=org.apache.spark:spark-connect_2.12:3.5.7 \
        --conf spark.kubernetes.driver.label.sparkoperator.k8s.io/connect-name=demo \
        --conf spark.kubernetes.driver.label.sparkoperator.k8s.io/launched-by-spark-operator=true \
        --conf spark.kubernetes.driver.annotation.team=a --conf spark.driver.bindAddress=0.0.0.0 \
        --conf spark.driver.host=$(host=${POD_IP}; if [[ $host == *:* ]] && [[ $host != \\[* ]]; then echo \"[$host]\"; \
        else echo \"$host\"; fi) --conf spark.driver.port=7078 --conf spark.kubernetes.driver.pod.name=demo-server";

    #[test]
    fn reads_what_the_operator_writes() {
        let arguments = ConnectArguments::parse(OPERATOR);
        for (key, value) in [
            ("spark.kubernetes.namespace", Some("jobs")),
            ("spark.jars.packages", Some("org.apache.spark:spark-connect_2.12:3.5.7")),
            ("spark.driver.port", Some("7078")),
            ("spark.kubernetes.driver.pod.name", Some("demo-server")),
            ("spark.jars.ivy", None),
        ] {
            assert_eq!(arguments.conf(key), value, "{key}");
        }
        let host = arguments.conf("spark.driver.host").unwrap();
        assert!(host.starts_with("$(host=${POD_IP}; if ") && host.ends_with("echo \"$host\"; fi)"), "{host}");
        assert_eq!(arguments.packages(), Some("org.apache.spark:spark-connect_2.12:3.5.7"));
        assert_eq!(arguments.option("--master"), Some("k8s://https://10.96.0.1:443"));
        assert_eq!(arguments.properties_file(), None);
        assert_eq!(arguments.conf("spark.kubernetes.driver.label.sparkoperator.k8s.io/connect-name"), Some("demo"));
        assert_eq!(arguments.conf("spark.kubernetes.driver.annotation.team"), Some("a"));
    }

    /// The expected words are bash's own.
    #[test]
    fn splits_as_bash_does() {
        for (case, script, expected) in [
            ("blanks", "  a  b\tc ", vec![vec!["a", "b", "c"]]),
            ("single quotes", "'a b' c", vec![vec!["a b", "c"]]),
            ("quotes inside a word", "k='a b'\"c d\"e", vec![vec!["k=a bc de"]]),
            ("an empty word", "a '' \"\"", vec![vec!["a", "", ""]]),
            ("a quoted quote, as later operators write it", r#"'k=it'"'"'s'"#, vec![vec!["k=it's"]]),
            ("a backslash", r"a\ b \'c \\d", vec![vec!["a b", "'c", r"\d"]]),
            ("a backslash in single quotes", r"'a\b'", vec![vec![r"a\b"]]),
            ("a backslash in double quotes", r#""a\"b\\c\d\$e""#, vec![vec![r#"a"b\c\d$e"#]]),
            ("a line continued", "a \\\n b", vec![vec!["a", "b"]]),
            ("a word continued", "a\\\nb \"c\\\nd\"", vec![vec!["ab", "cd"]]),
            ("a line break in quotes", "'a,\nb'", vec![vec!["a,\nb"]]),
            (
                "several commands",
                "a b; c && d || e | f & g\nh",
                vec![vec!["a", "b"], vec!["c"], vec!["d"], vec!["e"], vec!["f"], vec!["g"], vec!["h"]],
            ),
            ("a separator in quotes", "'a;b' \"c&d\"", vec![vec!["a;b", "c&d"]]),
            ("a redirection", "a 2>&1 &>log b", vec![vec!["a", "2>&1", "&>log", "b"]]),
            ("a comment", "a # b; c\nd#e", vec![vec!["a"], vec!["d#e"]]),
            ("variables", "${A:-b c}d $E", vec![vec!["${A:-b c}d", "$E"]]),
            ("a substitution", "x=$(a b; c) d", vec![vec!["x=$(a b; c)", "d"]]),
            ("nested ones", "$(a $(b ')' \")\" `c )`) (d) ) e", vec![vec!["$(a $(b ')' \")\" `c )`) (d) )", "e"]]),
            ("one in double quotes", "\"$(echo \"a b\") c\" d", vec![vec!["$(echo \"a b\") c", "d"]]),
            ("backticks", "x=`a b` c", vec![vec!["x=`a b`", "c"]]),
            ("a dollar alone", "a$ $ b", vec![vec!["a$", "$", "b"]]),
            ("a quote without its half", "a 'b c", vec![vec!["a", "b c"]]),
            ("a double one", "a \"b c", vec![vec!["a", "b c"]]),
            ("a substitution without its end", "a $(b c", vec![vec!["a", "$(b c"]]),
            ("a backslash at the end", "a\\", vec![vec!["a"]]),
            ("letters of more than a byte", "é 'ü ö' \"ß\" \\ñ $(\\ñ)", vec![vec!["é", "ü ö", "ß", "ñ", "$(\\ñ)"]]),
            ("nothing", "", vec![]),
            ("separators alone", " ;; \n", vec![]),
        ] {
            assert_eq!(Commands::of(script), expected, "{case}");
        }
    }

    #[test]
    fn reads_options_as_spark_submit_does() {
        for (case, script, packages, ivy) in [
            ("the last conf wins", "s --conf spark.jars.ivy=/a --conf spark.jars.ivy=/b", None, Some("/b")),
            ("a short conf", "s -c spark.jars.ivy=/a", None, Some("/a")),
            ("a conf behind =", "s --conf=spark.jars.ivy=/a", None, Some("/a")),
            ("a short one behind = is none", "s -c=spark.jars.ivy=/a", None, None),
            ("a quoted pair", "s --conf \"spark.jars.ivy=/a b\"", None, Some("/a b")),
            ("a value with =", "s --conf spark.jars.ivy=/a=b", None, Some("/a=b")),
            ("an empty value", "s --conf spark.jars.ivy=", None, Some("")),
            ("a conf without a value", "s --conf spark.jars.ivy --conf spark.jars.packages=p", Some("p"), None),
            ("a conf without anything", "s --conf", None, None),
            ("packages", "s --packages p,q", Some("p,q"), None),
            ("packages behind =", "s --packages=p", Some("p"), None),
            ("packages win over the conf", "s --packages p --conf spark.jars.packages=q", Some("p"), None),
            ("the last packages win", "s --packages p --packages q", Some("q"), None),
            ("empty packages win too", "s --packages '' --conf spark.jars.packages=q", Some(""), None),
            ("an option's value is no option", "s --name --packages --conf spark.jars.ivy=/a", None, Some("/a")),
            ("switches take no value", "s --verbose --packages p", Some("p"), None),
            ("an unknown word ends nothing", "s what --packages p", Some("p"), None),
            ("another command", "s --packages p; other --packages q", Some("p"), None),
            (
                "something before the server",
                "cd /x --packages q && sbin/start-connect-server.sh --packages p",
                Some("p"),
                None,
            ),
            ("something that becomes the server", "exec spark-submit --packages p", Some("p"), None),
            ("a line break that ends the command", "s --packages p,\nq --conf spark.jars.ivy=/a", Some("p,"), None),
            ("nothing", "", None, None),
        ] {
            let arguments = ConnectArguments::parse(script);
            assert_eq!(arguments.packages(), packages, "{case}");
            assert_eq!(arguments.conf("spark.jars.ivy"), ivy, "{case}");
        }
        let arguments =
            ConnectArguments::parse("s --conf spark.jars=a.jar --jars b.jar --properties-file /p --repositories r");
        assert_eq!(arguments.jars(), Some("b.jar"));
        assert_eq!(arguments.properties_file(), Some("/p"));
        assert_eq!(arguments.option("--repositories"), Some("r"));
        assert_eq!(ConnectArguments::parse("s --conf spark.jars=a.jar").jars(), Some("a.jar"));
    }

    #[test]
    fn reads_args() {
        for (case, args, expected) in [
            ("one string", vec!["s --packages p"], Some("p")),
            ("several", vec!["s", "--packages", "p"], Some("p")),
            ("two", vec!["s", "--packages=p"], Some("p")),
            ("none", vec![], None),
        ] {
            assert_eq!(ConnectArguments::from_args(args).packages(), expected, "{case}");
        }
    }

    #[test]
    fn survives_what_nobody_would_write() {
        for (case, script) in [
            ("deep nesting", "$(".repeat(100_000)),
            ("deep quoting", "\"$(".repeat(100_000)),
            ("many dollars", "$".repeat(100_000)),
            ("many quotes", "'\"`".repeat(100_000)),
            ("many commands", "a;".repeat(100_000)),
        ] {
            assert_eq!(ConnectArguments::parse(&script), ConnectArguments::default(), "{case}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(script in "([ab ü'\"`$(){}\\\\;&|#>\n=]|--conf |--packages ){0,40}") {
            let _ = ConnectArguments::parse(&script);
        }

        #[test]
        fn a_quoted_value_comes_back(value in "[^\0]{0,20}") {
            let script = format!("s --conf 'k={}' --conf after=1", value.replace('\'', r#"'"'"'"#));
            let arguments = ConnectArguments::parse(&script);
            prop_assert_eq!(arguments.conf("k"), Some(value.as_str()));
            prop_assert_eq!(arguments.conf("after"), Some("1"));
        }
    }
}
