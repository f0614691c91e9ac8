using FlowMM.Engine;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Xunit;

namespace FlowMM.UnitTests.Engine;

public sealed class StopMatcherTests
{
    [Fact]
    public void Append_StopAcrossPieces_EndsBeforeIt()
    {
        StopMatcher matcher = new(["END"]);
        Assert.Equal("a", matcher.Append("aE"));
        Assert.Equal("", matcher.Append("N"));
        Assert.False(matcher.Stopped);
        Assert.Equal("", matcher.Append("D tail"));
        Assert.True(matcher.Stopped);
        Assert.Equal("", matcher.Flush());
    }

    [Fact]
    public void Append_FalseStart_IsShownLater()
    {
        StopMatcher matcher = new(["END"]);
        Assert.Equal("", matcher.Append("EN"));
        Assert.Equal("ENE", matcher.Append("EE"));
        Assert.Equal("E", matcher.Flush());
    }

    [Property]
    public Property Append_AnySplit_ShowsWhatTheWholeTextShows()
    {
        Gen<string> text = Gen.Elements('a', 'b').ArrayOf().Select(c => new string(c));
        Gen<string[]> pieces = text.ArrayOf();
        return Prop.ForAll(pieces.ToArbitrary(), parts =>
        {
            StopMatcher matcher = new(["aba", "bb"]);
            string shown = string.Concat(parts.Select(matcher.Append)) + matcher.Flush();
            string whole = string.Concat(parts);
            int[] ends = [.. new[] { "aba", "bb" }.Select(s => (At: whole.IndexOf(s, StringComparison.Ordinal), s.Length)).Where(f => f.At >= 0).Select(f => f.At)];

            // The stop text that completes first wins; the earlier start among those that the same piece completes.
            return ends.Length == 0 ? shown == whole : whole.StartsWith(shown, StringComparison.Ordinal) && ends.Contains(shown.Length);
        });
    }
}
