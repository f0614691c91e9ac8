using FlowMM.Cli.Eval.Page;

namespace FlowMM.Cli.Eval;

/// <summary>Where a grid's figures go.</summary>
internal static class GridFiles
{
    /// <summary>Prints the newest table and writes the files with all so far: what is done is not lost when the run is interrupted.</summary>
    public static void Report(EvalSettings settings, string madeWith, IReadOnlyList<MergingTable> tables, PageSample? sample, EvalProgress progress)
    {
        foreach (string line in GridText.Lines(tables[^1]))
        {
            progress.Print(line);
        }

        if (settings.Json is not null)
        {
            File.WriteAllText(settings.Json, GridJson.Of(tables, madeWith));
        }

        if (settings.Html is not null)
        {
            File.WriteAllText(settings.Html, EvalPage.Of(tables, sample, madeWith));
        }

        if (settings.Markdown is not null)
        {
            File.WriteAllText(settings.Markdown, GridMarkdown.Of(tables));
        }
    }
}
