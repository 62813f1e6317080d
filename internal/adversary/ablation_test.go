//go:build ablation

package adversary

import (
	"testing"

	"github.com/strictmx/strictmx/internal/ablation"
)

// missing is a rule that is switched off, and where that shows.
type missing struct {
	rule   ablation.Rule
	layer  layer
	by     string // the invariant that breaks
	within int    // so many schedules
}

var missed = []missing{
	{ablation.Renewal, layerClient, "I4", 1000},
	{ablation.RenewalAtEnd, layerClient, "I4", 20000},
	{ablation.AbsenceShort, layerClient, "I9", 1000},
	{ablation.AbsenceBeside, layerClient, "I9", 1000},
	{ablation.BackOff, layerClient, "I9", 1000},
	{ablation.LastLook, layerClient, "I1", 1000},
	{ablation.Budget, layerClient, "I8", 1000},
	{ablation.RefreshShared, layerClient, "I8", 1000},
	{ablation.CheckFloor, layerClient, "I8", 1000},
	{ablation.SilenceKept, layerClient, "I8", 1000},
	{ablation.StandIn, layerClient, "I12", 1000},
	{ablation.PoolShare, layerClient, "I12", 4000},
	{ablation.Ranks, layerClient, "I17", 4000},
	{ablation.ChangeTold, layerClient, "I6", 1000},
	{ablation.LapsedTold, layerClient, "R30", 1000},
	{ablation.OwnDeadline, layerClient, "R34", 1000},
	{ablation.NothingForGood, layerDelivery, "I11", 1000},
	{ablation.Complete, layerDelivery, "I1", 1000},
	{ablation.ReportsUntold, layerDelivery, "I13", 1000},
	{ablation.PlanLife, layerDelivery, "R25", 1000},
	{ablation.CauseTold, layerDelivery, "I10", 1000},
	{ablation.NoRetryInClear, layerDelivery, "I1", 1000},
	{ablation.Named, layerDelivery, "I1", 1000},
	{ablation.Proved, layerDelivery, "I1", 1000},
}

// The test of the test: whichever rule is switched off, the simulation finds
// out, and by the invariant that the rule is there for.
func TestAblation(t *testing.T) {
	defer ablation.Switch(ablation.None)
	if len(missed) != int(ablation.Rules)-1 {
		t.Errorf("%d rules can be switched off, and %d are looked for", ablation.Rules-1, len(missed))
	}
	for _, m := range missed {
		ablation.Switch(m.rule)
		var found *oracle
		total := simulate(t, m.layer, 1, m.within, func(o *oracle) bool {
			if o.broke(m.by) {
				found = o
			}
			return found != nil
		})
		if found == nil {
			t.Errorf("%v is switched off, and %d schedules of %v do not break %s", m.rule, m.within, m.layer, m.by)
			continue
		}
		t.Logf("%-28v breaks %-4s after %5d schedules of %v", m.rule, m.by, total.schedules, m.layer)
	}
}
