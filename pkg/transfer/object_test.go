package transfer

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// FuzzEncode holds that what is exported of an object is read back as it was.
func FuzzEncode(f *testing.F) {
	f.Add(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"---\n","b":"yes","c":"1e3","d":" \u0085\t#"}}`)
	f.Add(`{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},"d":"\u007f\u009f\u2028\u2029\ufeff\uffff\ud83d\ude00\u0000"}`)
	f.Add(`{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},"spec":{"n":9007199254740993,"x":0.1,"l":[null,true,""]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		objects, problems := documents.Parse("test.json", []byte(text))
		if len(problems) > 0 || len(objects) != 1 || objects[0].Object.IsList() {
			return
		}
		data, err := encode(objects[0].Object)
		if err != nil {
			t.Fatal(err)
		}
		found, problems := documents.Parse("test.yaml", []byte(string(data)+"---\n"+string(data)))
		if len(problems) > 0 || len(found) != 2 {
			t.Fatalf("%d documents, %v in\n%s", len(found), problems, data)
		}
		for _, d := range found {
			if diff := cmp.Diff(objects[0].Object.Object, d.Object.Object); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, data)
			}
		}
	})
}
