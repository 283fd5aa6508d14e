import java.io.File;
import java.util.Set;
import java.util.TreeSet;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.PDFAParser;
import org.verapdf.pdfa.PDFAValidator;
import org.verapdf.pdfa.flavours.PDFAFlavour;
import org.verapdf.pdfa.results.TestAssertion;
import org.verapdf.pdfa.results.ValidationResult;

/** Prints, for each file and standard, one line: file, standard, checks made, rules broken; parted by tabs. */
public class Validator {
    public static void main(String[] files) throws Exception {
        VeraGreenfieldFoundryProvider.initialise();
        for (String file : files) {
            for (PDFAFlavour standard : new PDFAFlavour[] {PDFAFlavour.PDFA_3_A, PDFAFlavour.PDFUA_1}) {
                try (PDFAParser parser = Foundries.defaultInstance().createParser(new File(file), standard);
                        PDFAValidator validator = Foundries.defaultInstance().createValidator(standard, false)) {
                    ValidationResult result = validator.validate(parser);
                    System.out.println(String.join("\t", file, standard.getId(),
                            String.valueOf(result.getTotalAssertions()), String.join("; ", broken(result))));
                }
            }
        }
    }

    private static Set<String> broken(ValidationResult result) {
        Set<String> rules = new TreeSet<>();
        for (TestAssertion assertion : result.getTestAssertions()) {
            if (assertion.getStatus() == TestAssertion.Status.FAILED) {
                rules.add(assertion.getRuleId().getClause() + "-" + assertion.getRuleId().getTestNumber() + " "
                        + assertion.getMessage() + " at " + assertion.getLocation().getContext());
            }
        }
        if (rules.isEmpty() && !result.isCompliant()) {
            rules.add("not compliant, without a rule");
        }
        return rules;
    }
}
