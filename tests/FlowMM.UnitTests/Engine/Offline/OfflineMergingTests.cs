using FlowMM.Engine.Offline;
using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using Xunit;

namespace FlowMM.UnitTests.Engine.Offline;

/// <summary>Offline sessions merged by the rules of a conversation.</summary>
public sealed class OfflineMergingTests
{
    private static readonly string Text = string.Join(' ', Enumerable.Range(0, 16).Select(i => $"The password of the crab is {i}{i}{i}."));

    [Fact]
    public void Read_LongPrompt_IsMergedToItsBudget()
    {
        using SessionCompressor compressor = new();
        using OfflineSession session = OfflineSession.Start(TinyModel.Model);
        OfflineMerging merging = new(new OfflineRunner(TinyModel.Model), compressor, new MergingPlanOptions { Ratio = 0.25 });
        int[] ids = Ids(Text);
        CompressionOutcome outcome = Assert.Single(merging.Read(new OfflineInput { Session = session, Ids = ids }));
        Assert.Equal(ids.Length, outcome.Tokens);
        Assert.Equal((int)Math.Ceiling(0.25 * ids.Length), session.Cache.LongestLayer);
    }

    [Fact]
    public void Read_ShortPromptBehindIt_StaysWhole()
    {
        using SessionCompressor compressor = new();
        using OfflineSession session = OfflineSession.Start(TinyModel.Model);
        OfflineMerging merging = new(new OfflineRunner(TinyModel.Model), compressor, new MergingPlanOptions { Ratio = 0.25 });
        merging.Read(new OfflineInput { Session = session, Ids = Ids(Text) });
        int held = session.Cache.LongestLayer;
        int[] ids = Ids("What is the password of the crab?");
        Assert.Empty(merging.Read(new OfflineInput { Session = session, Ids = ids }));
        Assert.Equal(held + ids.Length, session.Cache.LongestLayer);
    }

    [Fact]
    public void Decode_TailThatGrowsLong_IsMerged()
    {
        using SessionCompressor compressor = new();
        using OfflineSession session = OfflineSession.Start(TinyModel.Model);
        MergingPlanOptions options = new() { Ratio = 0.25, MinSegment = 65536, MaxTail = 96, TailKept = 1 };
        OfflineMerging merging = new(new OfflineRunner(TinyModel.Model), compressor, options);
        int[] ids = new PromptBuilder(TinyModel.Model).Build([new ChatMessage("user", [ChatPart.OfText(Text + "\nWhat is the password of the crab?")])]).Ids;
        Assert.True(ids.Length > options.MaxTail);
        merging.Read(new OfflineInput { Session = session, Ids = ids });
        IReadOnlyList<int> answer = merging.Decode(session, 8);
        Assert.True(answer.Count > 1);
        Assert.Equal(ids.Length + answer.Count, session.Cache.LogicalLength);
        Assert.True(session.Cache.LongestLayer < ids.Length / 2);
    }

    private static int[] Ids(string text) => new PromptBuilder(TinyModel.Model).Tokenize(text, first: true).Ids;
}
