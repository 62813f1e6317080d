package strictmxtest_test

import (
	"net/http"

	"github.com/strictmx/strictmx/strictmxtest"
)

// get returns status and type of what an URL answers in the world.
func get(w *strictmxtest.World, url string) string {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := w.Transport().RoundTrip(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	return resp.Status + " " + resp.Header.Get("Content-Type")
}
