package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// token is the sort of a piece of a script. The pieces are no finer than it takes
// to find where statements end.
type token uint8

const (
	tokenEnd       token = iota // of the script
	tokenSpace                  // white space, comments, byte order marks
	tokenSemicolon              // outside of quotes and comments
	tokenWord                   // a keyword, a bare identifier, a number
	tokenQuoted                 // 'string', "identifier", `identifier`, [identifier]
	tokenOther                  // any other byte
)

// lexer cuts a script into tokens as SQLite does. It holds the text of one
// statement, and nothing else of the script but its reader's buffer.
type lexer struct {
	r     *bufio.Reader
	limit int // of len(text)

	text   []byte // of the statement so far; spaces before it are not kept
	start  int    // where in text the last token begins
	at     int64  // where in the script it begins
	atLine int    // and in which line

	offset int64 // bytes read
	line   int   // line of the next byte
	keep   bool  // whether what is read goes into text
}

// scriptError is a fault of the script that shows before any of it is sent.
type scriptError struct {
	line   int
	reason string
}

func (e *scriptError) Error() string { return e.reason }

// token reads the next token. Spaces are put into text only after something else.
func (l *lexer) token() (token, error) {
	head, err := l.r.Peek(3) // a byte order mark is the longest to be told apart
	if len(head) == 0 {
		if errors.Is(err, io.EOF) {
			return tokenEnd, nil
		}
		return tokenEnd, err
	}
	l.start, l.at, l.atLine = len(l.text), l.offset, l.line
	kind, length := l.look(head)
	l.keep = kind != tokenSpace || len(l.text) > 0
	for range length {
		if _, err := l.next(); err != nil {
			return kind, err
		}
	}
	return kind, l.rest(kind, head[0], length)
}

// look tells a token by its first bytes, and how many of them are certain to be
// part of it.
func (l *lexer) look(head []byte) (token, int) {
	first := head[0]
	switch {
	case isSpace(first):
		return tokenSpace, 1
	case len(head) > 1 && (string(head[:2]) == "--" || string(head[:2]) == "/*"):
		return tokenSpace, 2
	case string(head) == "\xef\xbb\xbf":
		return tokenSpace, 3
	case first == ';':
		return tokenSemicolon, 1
	case closingQuote(first) != 0:
		return tokenQuoted, 1
	case isWord(first):
		return tokenWord, 1
	}
	return tokenOther, 1
}

// rest reads what follows the bytes that look saw.
func (l *lexer) rest(kind token, first byte, length int) error {
	switch {
	case kind == tokenSpace && length == 1:
		return l.while(isSpace)
	case kind == tokenSpace && first == '-':
		return l.while(func(b byte) bool { return b != '\n' })
	case kind == tokenSpace && first == '/':
		return l.comment()
	case kind == tokenQuoted:
		return l.quoted(first)
	case kind == tokenWord:
		return l.while(isWord)
	}
	return nil
}

// while reads as long as the next byte is one of those.
func (l *lexer) while(belongs func(byte) bool) error {
	for {
		b, err := l.r.Peek(1)
		switch {
		case len(b) == 0 && errors.Is(err, io.EOF):
			return nil
		case len(b) == 0:
			return err
		case !belongs(b[0]):
			return nil
		}
		if _, err := l.next(); err != nil {
			return err
		}
	}
}

// comment reads to the end of a comment like this one: /* */. SQLite lets the
// end of the script end it too; here that is an error, as it means that
// statements are missing.
func (l *lexer) comment() error {
	var last byte
	for {
		b, err := l.next()
		if errors.Is(err, io.EOF) {
			return &scriptError{l.atLine, "the comment that begins with /* is never closed: add */"}
		}
		if err != nil {
			return err
		}
		if last == '*' && b == '/' {
			return nil
		}
		last = b
	}
}

// quoted reads to the closing quote, over those that are doubled.
func (l *lexer) quoted(opening byte) error {
	end := closingQuote(opening)
	for {
		b, err := l.next()
		if errors.Is(err, io.EOF) {
			return &scriptError{l.atLine, fmt.Sprintf("the text or name that begins with %c is never closed: add %c", opening, end)}
		}
		if err != nil {
			return err
		}
		if b != end {
			continue
		}
		if next, _ := l.r.Peek(1); end == ']' || len(next) == 0 || next[0] != end {
			return nil
		}
		if _, err := l.next(); err != nil {
			return err
		}
	}
}

// next reads a byte.
func (l *lexer) next() (byte, error) {
	b, err := l.r.ReadByte()
	if err != nil {
		return 0, err
	}
	l.offset++
	if b == '\n' {
		l.line++
	}
	if !l.keep {
		return b, nil
	}
	if len(l.text) == l.limit {
		return b, &scriptError{l.atLine, fmt.Sprintf("the statement is longer than %d bytes; is a quote or a semicolon missing?", l.limit)}
	}
	l.text = append(l.text, b)
	return b, nil
}

// isSpace and isWord draw the same lines as SQLite's tokenizer.
func isSpace(b byte) bool {
	return b == ' ' || b == '\t' || b == '\n' || b == '\f' || b == '\r'
}

func isWord(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == '$' || b >= 0x80
}

// closingQuote gives the quote that closes the one given, or 0 for any other byte.
func closingQuote(opening byte) byte {
	switch opening {
	case '\'', '"', '`':
		return opening
	case '[':
		return ']'
	}
	return 0
}
