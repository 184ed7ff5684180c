package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxStatement is the longest statement that is read, in bytes: what nodes take
// by default in a message. It keeps a quote that is never closed from pulling the
// whole file into memory.
const maxStatement = 16 << 20

// maxHead is how many tokens at its beginning tell what a statement is. The
// longest is ROLLBACK TRANSACTION name TO SAVEPOINT name.
const maxHead = 6

// statement is one statement of a script.
type statement struct {
	// text is the statement without the semicolon that ends it, byte for byte as
	// the script has it.
	text string
	// at is where in the script it begins, in bytes from 0.
	at int64
	// line is where it begins, counted from 1.
	line int
	// head are its first tokens, spaces and comments left out.
	head []string
}

// script reads the statements of an SQL script one by one. It is not safe for
// concurrent use.
type script struct {
	lexer
	heads [][2]int // where in text the first tokens are
	solid int      // how much of text there is without trailing spaces
}

func newScript(r io.Reader, limit int) *script {
	return &script{lexer: lexer{r: bufio.NewReaderSize(r, 64<<10), limit: limit, line: 1}}
}

// errUTF16 is for files from programs that take "Unicode" to mean this encoding.
var errUTF16 = errors.New("the script is in UTF-16: convert it to UTF-8")

// next gives the next statement, or io.EOF at the end. Empty statements are left
// out. Its errors are those of the reader and *scriptError; none can be continued
// after.
func (s *script) next() (statement, error) {
	if s.offset == 0 {
		if mark, _ := s.r.Peek(2); bytes.Equal(mark, []byte{0xff, 0xfe}) || bytes.Equal(mark, []byte{0xfe, 0xff}) {
			return statement{}, errUTF16
		}
	}
	var st statement
	var b boundary
	s.text, s.heads, s.solid = s.text[:0], s.heads[:0], 0
	for {
		kind, err := s.token()
		if err != nil {
			return statement{}, err
		}
		switch {
		case kind == tokenEnd && s.solid == 0:
			return statement{}, io.EOF
		case kind == tokenEnd:
			return s.finish(st), nil
		case kind == tokenSpace:
			continue
		case kind == tokenSemicolon && s.solid == 0:
			s.text = s.text[:0]
			continue
		case b.ends(kind, s.text[s.start:]):
			return s.finish(st), nil
		}
		if s.solid == 0 {
			st.at, st.line = s.at, s.atLine
		}
		s.solid = len(s.text)
		if len(s.heads) < maxHead {
			s.heads = append(s.heads, [2]int{s.start, s.solid})
		}
	}
}

func (s *script) finish(st statement) statement {
	st.text = string(s.text[:s.solid])
	for _, h := range s.heads {
		st.head = append(st.head, st.text[h[0]:h[1]])
	}
	return st
}

// boundary finds the semicolon that ends a statement: the first one, but for
// CREATE TRIGGER, whose body between BEGIN and END has semicolons of its own.
type boundary uint8

const (
	inHead     boundary = iota // CREATE may come
	afterWord                  // of CREATE: TRIGGER may come
	inPlain                    // no trigger
	inTrigger                  // BEGIN may come
	inBody                     // of a trigger
	afterInner                 // a semicolon of the body: END may come
	afterEnd                   // the body's END
)

// ends takes the next token, which is not space, and reports whether it is the
// semicolon that ends the statement.
func (b *boundary) ends(kind token, text []byte) bool {
	if kind == tokenSemicolon {
		if *b != inBody && *b != afterInner {
			return true
		}
		*b = afterInner
		return false
	}
	is := func(word string) bool { return kind == tokenWord && bytes.EqualFold(text, []byte(word)) }
	switch *b {
	case inHead:
		switch {
		case is("CREATE"):
			*b = afterWord
		case !is("EXPLAIN") && !is("QUERY") && !is("PLAN"):
			*b = inPlain
		}
	case afterWord:
		switch {
		case is("TRIGGER"):
			*b = inTrigger
		case !is("TEMP") && !is("TEMPORARY"):
			*b = inPlain
		}
	case inTrigger:
		if is("BEGIN") {
			*b = inBody
		}
	case afterInner:
		*b = inBody
		if is("END") {
			*b = afterEnd
		}
	case afterEnd:
		*b = inBody
	}
	return false
}
